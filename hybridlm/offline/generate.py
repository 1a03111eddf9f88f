"""`generate`: a checkpoint, or a published model, continues prompts; texts are printed as they are written."""

import dataclasses
import functools
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from etils import epath

from hybridlm.config.errors import require
from hybridlm.config.exit_codes import ExitCode
from hybridlm.config.experiment import Experiment
from hybridlm.config.sampling import SamplingConfig, check_prompts
from hybridlm.data.directories import check_free
from hybridlm.data.tokenizer import Tokenizer
from hybridlm.evaluation import mask_facts
from hybridlm.offline import networks, written_by_two
from hybridlm.offline.opened import Opened, open_model
from hybridlm.reports import denoising
from hybridlm.reports.progress import remark
from hybridlm.sampling import samplers, streaming
from hybridlm.sampling.stopping import Reader
from hybridlm.sampling.trace import Trace

RULE = "-" * 8
"""Before each text, where there are several."""


Heard = Callable[[int, str], None]
"""heard(number of the text, its next piece): told every piece as soon as it is certain."""


def _aloud(prompt: str) -> Heard:
    """Prints a text as it comes, behind its prompt; nothing before the first piece, since a sampler may be refused."""
    before = [prompt]

    def heard(number: int, piece: str) -> None:
        print(before.pop() if before else "", piece, sep="", end="", flush=True)

    return heard


def _nobody(number: int, piece: str) -> None:
    """Listens to nothing."""


@dataclasses.dataclass
class Text:
    """One text as it comes. Attributes: prompt; length: its tokens, BOS among them; reader: of new ids; ids: all new
    ones heard; written: what they say; shares, nats: of two experts the first one's share in each, and -log of its
    probability."""

    prompt: str
    length: int
    reader: Reader
    ids: list[int] = dataclasses.field(default_factory=list)
    written: str = ""
    shares: list[float] = dataclasses.field(default_factory=list)
    nats: list[float] = dataclasses.field(default_factory=list)

    def hear(self, ids: Sequence[int]) -> str:
        """The piece of text that new ids make certain; after a stop string there is none."""
        self.ids += [] if self.reader.has_stopped else ids
        return self._kept(self.reader.read(ids))

    def end(self) -> str:
        """The last piece."""
        return self._kept(self.reader.close())

    def _kept(self, piece: str) -> str:
        self.written += piece
        return piece


def generate(
    model: epath.PathLike,
    prompts: Sequence[str],
    config: SamplingConfig,
    *,
    step: int = -1,
    picture: str = "",
    overrides: Mapping[str, str],
) -> ExitCode:
    """Prints the prompts with what a model writes after each: a single text while it is written, several at the end.

    With `picture`, the path of an HTML file, the steps of a diffusion sampler are written there.
    """
    _check_picture(picture)
    config = dataclasses.replace(config, record=bool(picture))
    accept = functools.partial(check, prompts, config)
    opened = open_model(model, step=step, overrides=overrides, accept=accept)
    begin = time.perf_counter()
    texts, trace = _printed(opened, prompts, config)
    seconds, count = time.perf_counter() - begin, sum(len(text.ids) for text in texts)
    print(f"{count} tokens in {seconds:.1f} s, compiling included", file=sys.stderr)
    if config.combination is not None:
        print(written_by_two.summary(config.combination, texts), file=sys.stderr)
    if picture:
        _draw(picture, trace, texts, opened.tokenizer, {"model": model, **_told(config)})
    return ExitCode.DONE


def _check_picture(picture: str) -> None:
    """Refuses a place where there cannot be a file, before anything is written."""
    check_free(epath.Path(picture).parent, "--picture")
    require(
        not picture or not epath.Path(picture).is_dir(),
        f"--picture={picture} is a directory, and a picture is one file; name it, such as {picture}/denoising.html.",
    )


def _printed(opened: Opened, prompts: Sequence[str], config: SamplingConfig) -> tuple[list[Text], Trace | None]:
    """What `write` gives, on standard output: a single text while it is written, several at the end."""
    if len(prompts) * config.num == 1:
        heard = _aloud(prompts[0])
        found = write(opened, prompts, config, heard=heard)
        heard(0, "")  # the prompt of a text that ended at once
        print()
        return found
    found = write(opened, prompts, config)
    for number, text in enumerate(found[0], 1):
        print(f"{RULE} {number}\n{text.prompt}{text.written}")
    return found


def _told(config: SamplingConfig) -> dict[str, Any]:
    """How a text was drawn, so that its picture says how to draw it again: what the sampler reads and what is set."""
    read = {name: value for name in samplers.SAMPLERS[config.sampler].reads if (value := getattr(config, name))}
    return {"sampler": config.sampler, **read, "temperature": config.choice.temperature, "seed": config.seed}


def _draw(picture: str, trace: Trace, texts: Sequence[Text], tokenizer: Tokenizer, facts: Mapping[str, Any]) -> None:
    """Writes the steps of a sampler as a page."""
    given = [_given(text, tokenizer.eos) for text in texts]
    epath.Path(picture).parent.mkdir(parents=True, exist_ok=True)
    denoising.write(trace, tokenizer.token_bytes, picture, given=given, facts=facts)
    remark(f"picture: {picture}")


def _given(text: Text, eos: int) -> denoising.Given:
    """What of its row a text shows, and why it ends there."""
    if text.reader.has_stopped:
        end = "Ended before a stop string."
    elif text.ids[-1:] == [eos]:
        end = f"Ended by itself: {denoising.END}"
    else:
        end = f"Ended after the {len(text.ids)} tokens that were asked for."
    return denoising.Given(text.length, len(text.ids), text.reader.size, end)


def write(
    opened: Opened, prompts: Sequence[str], config: SamplingConfig, *, heard: Heard = _nobody
) -> tuple[list[Text], Trace | None]:
    """`config.num` texts per prompt, those of the first prompt first, and the sampler's steps where it keeps them."""
    tokenizer = opened.tokenizer
    check(prompts, config, opened.experiment, tokenizer)
    asked = [prompt for prompt in prompts for _ in range(config.num)]
    ids = _encoded(asked, tokenizer)
    texts = [Text(prompt, len(row), Reader(tokenizer.to_bytes, config.stop)) for prompt, row in zip(asked, ids)]
    if config.combination is None:
        writer, network = samplers.make(config, networks.trained(opened)), networks.of_opened(opened)
    else:
        writer, network = written_by_two.writer(opened, config)

    def listen(new: list[list[int]]) -> list[bool]:
        for number, (text, more) in enumerate(zip(texts, new, strict=True)):
            heard(number, text.hear(more))
        return [text.reader.has_stopped for text in texts]

    state = streaming.write(writer, network, ids, streaming.row_keys(config.seed, len(ids)), listen)
    for number, text in enumerate(texts):
        heard(number, text.end())
    if config.combination is not None:
        written_by_two.tell(state, texts)
    return texts, writer.trace(state)


def check(prompts: Sequence[str], config: SamplingConfig, experiment: Experiment, tokenizer: Tokenizer) -> None:
    """Refuses what a model of this config and tokenizer cannot write; its weights need not be there."""
    check_prompts(prompts)
    if config.combination is None:
        samplers.check(config, experiment.objectives)
    else:
        written_by_two.check(config, experiment, tokenizer)
    mask_facts.check_written(experiment.mask)
    _check_lengths(max(map(len, _encoded(prompts, tokenizer))), config.tokens, experiment.data.row_length)


def _encoded(texts: Sequence[str], tokenizer: Tokenizer) -> list[list[int]]:
    return [[tokenizer.bos, *row.tolist()] for row in tokenizer.encode_batch(texts)]


def _check_lengths(longest: int, tokens: int, context: int) -> None:
    require(
        longest < context,
        f"--prompt has {longest} tokens, BOS among them, which leaves no room in the {context} that the model was made "
        "for; shorten it.",
    )
    require(
        longest + tokens <= context,
        f"--prompt has {longest} tokens, BOS among them, and --tokens={tokens} more pass the {context} that the model "
        f"was made for; ask for --tokens={context - longest} at most, or shorten the prompt.",
    )
