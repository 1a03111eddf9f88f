"""Texts that a harness asks to be continued up to a string, by the sampler of `generate` from left to right."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hybridlm.config.errors import require
from hybridlm.config.sampling import Choice, SamplingConfig
from hybridlm.data.tokenizer import Tokenizer
from hybridlm.offline.generate import write
from hybridlm.offline.opened import Opened

TOKENS = 256
"""New tokens at most, where a task does not say."""
READ = ("until", "max_gen_toks", "do_sample", "temperature", "top_k", "top_p")


def continued(opened: Opened, asked: Sequence[tuple[str, Mapping[str, Any]]], batch_rows: int) -> list[str]:
    """What is written after each (context, arguments of the task), without the string it ends before.

    The likeliest token is taken each time, unless a task asks for samples. A context that is too long is cut on its
    left.
    """
    configs, length = [sampling(arguments) for _, arguments in asked], opened.experiment.data.row_length
    found = [""] * len(asked)
    for numbers in _batches(configs, batch_rows):
        config = configs[numbers[0]]
        require(
            config.tokens < length - 1,
            f"max_gen_toks={config.tokens} leaves no room for a context in the {length} tokens that the model was made "
            "for; ask for fewer with --gen_kwargs max_gen_toks=N.",
        )
        room = length - 1 - config.tokens
        prompts = [_fitting(opened.tokenizer, asked[number][0], room) for number in numbers]
        texts, _ = write(opened, prompts, config)
        for number, text in zip(numbers, texts, strict=True):
            found[number] = text.written
    return found


def sampling(arguments: Mapping[str, Any]) -> SamplingConfig:
    """The arguments of a task as the sampler has them; raises on one that nobody here reads."""
    unread = sorted(set(arguments) - set(READ))
    require(not unread, f"the task sets {', '.join(unread)}, and texts are written by {', '.join(READ)} alone.")
    stop = arguments.get("until") or ()
    given = {name: arguments[name] for name in ("temperature", "top_k", "top_p") if name in arguments}
    return SamplingConfig(
        tokens=int(arguments.get("max_gen_toks", TOKENS)),
        choice=Choice(**given) if arguments.get("do_sample") else Choice(temperature=0.0),
        stop=(stop,) if isinstance(stop, str) else tuple(stop),
    )


def _batches(configs: Sequence[SamplingConfig], rows: int) -> Iterator[list[int]]:
    """Numbers of requests that are written alike, together."""
    alike = {}
    for number, config in enumerate(configs):
        alike.setdefault(config, []).append(number)
    for numbers in alike.values():
        yield from (numbers[first : first + rows] for first in range(0, len(numbers), rows))


def _fitting(tokenizer: Tokenizer, text: str, room: int) -> str:
    """The longest end of the text, in whole characters, that so many tokens hold."""
    (ids_N,) = tokenizer.encode_batch([text])
    ends = (tokenizer.decode(ids_N[-size:].tolist()).lstrip("\N{REPLACEMENT CHARACTER}") for size in range(room, 0, -1))
    return text if len(ids_N) <= room else next(end for end in ends if len(tokenizer.encode_batch([end])[0]) <= room)
