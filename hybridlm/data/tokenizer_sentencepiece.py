"""A sentencepiece `.model`, taken over with the settings that keep every byte.

The space sentencepiece puts before a text, and its folding of repeated spaces, are switched off.
"""

import sentencepiece
from sentencepiece import sentencepiece_model_pb2

from hybridlm.data.tokenizer import SPACE, Tokenizer, special_ids

FILE_NAME = "tokenizer.model"
_Piece = sentencepiece_model_pb2.ModelProto.SentencePiece


def from_bytes(content: bytes) -> Tokenizer:
    """The tokenizer of a `.model` file."""
    model = sentencepiece_model_pb2.ModelProto.FromString(content)
    model.normalizer_spec.add_dummy_prefix = False
    model.normalizer_spec.remove_extra_whitespaces = False
    processor = sentencepiece.SentencePieceProcessor(model_proto=model.SerializeToString())
    named = {
        piece.piece: n for n, piece in enumerate(model.pieces) if piece.type in (_Piece.CONTROL, _Piece.USER_DEFINED)
    }
    specials = special_ids(named, len(model.pieces))
    pieces = [_bytes(piece) for piece in model.pieces]
    pieces += [b""] * (max(specials.values()) + 1 - len(pieces))
    for index in specials.values():
        pieces[index] = b""
    return Tokenizer(FILE_NAME, content, tuple(pieces), **specials, encode=processor.encode)


def _bytes(piece: _Piece) -> bytes:
    if piece.type == _Piece.BYTE:
        return bytes([int(piece.piece[3:5], 16)])
    is_text = piece.type in (_Piece.NORMAL, _Piece.USER_DEFINED)
    return piece.piece.replace(SPACE, " ").encode() if is_text else b""
