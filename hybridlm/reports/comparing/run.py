"""From paths to a comparison: which file is which, what is read of it, and every statistic in its order."""

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np

import hybridlm
from hybridlm.config.errors import ConfigError, nearest, require
from hybridlm.reports import token_reader
from hybridlm.reports.comparing import asked, extras, relabelled
from hybridlm.reports.comparing.aligned import Aligned, Source, align
from hybridlm.reports.comparing.methods import paragraph
from hybridlm.reports.comparing.metrics import metrics
from hybridlm.reports.comparing.paths import choose, names, place, refuse_equals
from hybridlm.reports.comparing.regression import formula, record_of, regression
from hybridlm.reports.comparing.rows import Settings, plain, rows
from hybridlm.reports.comparing.sums import part, select, sums
from hybridlm.reports.comparison import Comparison, Entry
from hybridlm.reports.scores import ALL
from hybridlm.statistics.intervals import linearised
from hybridlm.statistics.regression import Regression
from hybridlm.statistics.sums import Sums, difference
from hybridlm.statistics.transfer import measured

Report = Callable[[str, int, int], None]
"""Hears (what is being done, how much is done, of how much); the unit is a row looked at once."""


def compare(
    paths: Sequence[str], baseline: str, settings: Settings, report: Report = lambda what, done, total: None
) -> tuple[Comparison, Aligned]:
    """Compares token files with one of them; returns the record, and the aligned text to show passages of.

    `settings.seeds` and `settings.placebo` are pairs of paths.
    """
    require(len(paths) > 1, "a comparison needs at least two token files; give a baseline and a model.")
    every = list(dict.fromkeys([baseline or paths[0], *paths, *_flat(settings.seeds), *_flat(settings.placebo)]))
    require(
        not baseline or baseline in paths,
        f"--baseline={baseline} is none of the files to compare{nearest(baseline, paths)}",
    )
    place_of = {text: place(text) for text in every}
    header = {one: token_reader.read_header(one.path) for one in place_of.values()}
    chosen = choose(header)
    refuse_equals([place_of[text] for text in paths], header, chosen)
    name_of = dict(zip(every, names([*place_of.values()])))
    twice = [text for text, name in name_of.items() if [*name_of.values()].count(name) > 1]
    require(not twice, f"{' and '.join(twice)} are one reading of one file; write it alike wherever it is named.")
    models = [name_of[text] for text in paths if text != every[0]]
    settings = dataclasses.replace(
        settings,
        seeds=tuple((name_of[a], name_of[b]) for a, b in settings.seeds),
        placebo=tuple((name_of[a], name_of[b]) for a, b in settings.placebo),
    )
    asked.check(header, chosen, name_of, settings)
    return _Run(settings, report).compare(header, chosen, name_of, models)


def _flat(pairs):
    return [text for pair in pairs for text in pair]


class _Run:
    """The order of things, with its progress."""

    def __init__(self, settings: Settings, report: Report):
        self._settings, self._report = settings, report
        self._what, self._done, self._total = "", 0, 1

    def _advance(self, rows: int) -> None:
        self._done += rows
        self._report(self._what, min(self._done, self._total), self._total)

    def _begin(self, what: str) -> None:
        self._what = what
        self._advance(0)

    def compare(self, header, chosen, name_of, models) -> tuple[Comparison, Aligned]:
        """All of it."""
        sizes = [token_reader.count(one.path) for one in header]
        self._total = sum(sizes) + sizes[0] * (7 + 4 * len(models))
        sources = self._read(header, chosen, name_of)
        whole = align(sources)
        left_out = len(sources[0].tokens) - len(whole.row_T)
        text = self._filtered(whole)
        fits, lost = self._fits(text, models)
        text = asked.shown(text, self._settings)
        self._begin("adding up")
        found = sums(text, self._advance)
        self._begin("drawing")
        table, notes = rows(found, text.baseline.name, models, self._settings, fits)
        self._advance(len(text.row_T) * len(models))
        main = only(text, [text.baseline.name, *models])
        return self._record(main, models, found, fits, table, (*relabelled.notes(whole), *lost, *notes), left_out), main

    def _read(self, header, chosen, name_of) -> list[Source]:
        sources, read = [], {}
        for one, found in header.items():
            self._begin(f"reading {name_of[one.text]}")
            wanted = {chosen[other] for other in header if other.path == one.path} | {"unigram"}
            if one.path not in read:
                known = wanted & set(found.readings)
                read[one.path] = token_reader.read(one.path, readings=known, advance=self._advance)
            sources.append(Source(name_of[one.text], read[one.path], chosen[one]))
        return sources

    def _filtered(self, text: Aligned) -> Aligned:
        if self._settings.filter == "all":
            return text
        is_kept_T = select(text, self._settings.filter)
        require(bool(is_kept_T.any()), f"--filter={self._settings.filter!r} lets no token through.")
        return text.kept(is_kept_T)

    def _fits(self, text: Aligned, models) -> tuple[dict[str, Regression], list[str]]:
        """Regressions by model, and why there are none."""
        self._begin("regression")
        wanted = formula(text, self._settings)
        if text.unit == "byte":
            return {}, []
        try:
            return {name: regression(text, name, wanted, self._settings, self._advance) for name in models}, []
        except ConfigError as error:
            labels = sum(map(len, wanted.factors.values()))
            return {}, [f"no adjusted gaps of {', '.join(wanted.factors) or 'any family'} ({labels} labels): {error}"]

    def _record(self, text: Aligned, models, found, fits, table, notes, left_out) -> Comparison:
        settings, base = self._settings, text.baseline
        self._begin("calibration, recall and frequency")
        shown = ("families", "adjust", "seeds", "placebo")
        record = Comparison(
            settings=dataclasses.asdict(settings) | {name: [*getattr(settings, name)] for name in shown},
            methods="",
            notes=notes,
            unit=text.unit,
            data=text.data,
            tokens=len(text.row_T),
            bytes=_bytes(text),
            documents=len(np.unique(text.document_T)),
            clusters=int((found[base.name].count_NC[:, 0] > 0).sum()),
            left_out=left_out,
            readings=tuple(_entry(source, text, found[source.name], settings) for source in text.sources),
            rows=tuple(table),
            families={name: {"question": f.question, "labels": dict(f.labels)} for name, f in text.families.items()},
            regressions=tuple(record_of(name, fit) for name, fit in fits.items()),
            calibration=tuple(extras.calibration(text, settings, self._advance)),
            recall=tuple(extras.recall(text, settings)),
            distance=tuple(extras.distance(text, found, settings)),
            frequency=tuple(extras.frequency(text, settings, self._advance)),
            metrics=tuple(metrics(text, settings, self._advance)),
            gaps={name: _measured(difference(found[base.name], found[name])) for name in models},
            hybridlm=hybridlm.__version__,
        )
        self._done = self._total
        self._begin("done")
        return dataclasses.replace(record, methods=paragraph(record))


def only(text: Aligned, kept: Sequence[str]) -> Aligned:
    """These sources alone."""
    return dataclasses.replace(
        text,
        sources=tuple(source for source in text.sources if source.name in kept),
        cost={name: cost_T for name, cost_T in text.cost.items() if name in kept},
        rows={name: row_T for name, row_T in text.rows.items() if name in kept},
    )


def _bytes(text: Aligned) -> int:
    tokens = text.baseline.tokens
    return int((tokens.byte_end_T[text.row_T] - tokens.byte_start_T[text.row_T]).sum())


def _entry(source: Source, text: Aligned, found: Sums, settings: Settings) -> Entry:
    whole, header, facts, size = part(found, ALL), source.tokens.header, source.facts, _bytes(text)
    mean = linearised(whole.total_NC, whole.count_NC, level=settings.level)
    return Entry(
        name=source.name,
        path=source.tokens.path,
        reading=source.reading,
        kind=facts.kind,
        sees=facts.sees,
        samples=facts.samples,
        tokenizer=header.tokenizer,
        checkpoint=header.checkpoint,
        code=header.code,
        scores=source.tokens.fingerprint(source.reading),
        is_baseline=source is text.baseline,
        mean=plain(mean.estimate_C[0]),
        low=plain(mean.low_C[0]),
        high=plain(mean.high_C[0]),
        bits_per_byte=float(whole.total_NC.sum() / math.log(2) / size) if size else None,
    )


def _measured(gap: Sums):
    return {family: measured(gap, family) for family in dict(gap.categories)}
