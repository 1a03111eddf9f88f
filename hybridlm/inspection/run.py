"""`inspect`: what a text holds, what compared models would gain on it, and what a model is, before anything is run."""

import dataclasses
import tempfile

from etils import epath

from hybridlm.categories import registry
from hybridlm.config.errors import require
from hybridlm.config.exit_codes import ExitCode
from hybridlm.data import manifest as manifests
from hybridlm.data import progress as progresses
from hybridlm.data import source_tokens
from hybridlm.data.directories import check_free
from hybridlm.data.prepared import Prepared, open_prepared
from hybridlm.data.progress import Progress
from hybridlm.inspection import gains as gain_inspection
from hybridlm.inspection import model as model_inspection
from hybridlm.inspection import text as text_inspection
from hybridlm.inspection.model import Run
from hybridlm.inspection.text import Look, look
from hybridlm.inspection.text_rows import ROW_LENGTH, rows_of_text
from hybridlm.reports import comparison as comparisons
from hybridlm.reports import inspection_gains, inspection_html, inspection_plots, inspection_terminal, plots
from hybridlm.reports.comparison import Comparison
from hybridlm.reports.inspection import Inspection, save_distribution
from hybridlm.storage import workdir

PAGE, DISTRIBUTION, GAINS = "inspection.html", "distribution.csv", "gains.csv"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Asked:
    """What is to be looked at; "" is nothing.

    Attributes:
      data: prepared rows or text. model: directory of a run. comparison: file that `hybridlm compare` wrote.
      workdir: where files go. megabytes: of text to label, 0 for all; the labels of prepared rows are there already.
    """

    data: str = ""
    model: str = ""
    comparison: str = ""
    workdir: str = ""
    megabytes: float = 4.0


def inspect(asked: Asked, *, progress: Progress = progresses.show) -> ExitCode:
    """Prints what is asked for, and writes the page, the CSV files and the pictures to `workdir`."""
    check_free(epath.Path(asked.workdir), "--workdir")
    comparison = comparisons.load(asked.comparison) if asked.comparison else None
    with tempfile.TemporaryDirectory() as scratch:
        run = model_inspection.open_run(epath.Path(asked.model)) if asked.model else None
        given = rows_of(asked, run, epath.Path(asked.workdir or scratch) / workdir.DATA, progress)
        found = _describe(asked, given, run, comparison, progress)
    inspection_terminal.show(found)
    if asked.workdir:
        _write(found, epath.Path(asked.workdir), progress)
    return ExitCode.DONE


def _describe(
    asked: Asked, given: Look | None, run: Run | None, comparison: Comparison | None, progress: Progress
) -> Inspection:
    text, gains, prepared = None, None, given and given.prepared
    if given:
        text, tables = text_inspection.describe(given, progress)
        gains = gain_inspection.gains(comparison, prepared, tables, progress) if comparison else None
    model = model_inspection.describe(run, prepared or _own_rows(run), progress) if run else None
    return Inspection(" and ".join(filter(None, (asked.data, asked.model))), text, model, gains)


def rows_of(asked: Asked, run: Run | None, where: epath.Path, progress: Progress) -> Look | None:
    """The rows of a prepared directory, or those made in `where` of any other text, in the vocabulary of the run."""
    if not asked.data:
        return None
    path = epath.Path(asked.data)
    require(
        not (path / workdir.CONFIG).exists(),
        f"--data={asked.data} is the directory of a run, not text; name its rows by --data={asked.data}/{workdir.DATA},"
        f" or the run by --model={asked.data}.",
    )
    registry.load(run.experiment.data.label_modules if run else ())
    if (path / manifests.FILE_NAME).exists() or _holds_shards(path):
        return look(_same_vocabulary(open_prepared(path), run))
    row_length = run.experiment.data.row_length if run else ROW_LENGTH
    return rows_of_text(asked.data, run and run.vocabulary, row_length, asked.megabytes, where, progress)


def _holds_shards(path: epath.Path) -> bool:
    """Whether rows lie there without their manifest; tokens may come in such files too."""
    return path.is_dir() and not source_tokens.is_named(str(path)) and any(path.glob("*.array_record"))


def _same_vocabulary(prepared: Prepared, run: Run | None) -> Prepared:
    require(
        run is None or prepared.tokenizer.sha256 == run.vocabulary.tokenizer.sha256,
        f"the rows in {prepared.directory} were made with another tokenizer than the run of --model, which would read "
        "their ids as other words; inspect them one at a time, or give the text itself as --data.",
    )
    return prepared


def _own_rows(run: Run) -> Prepared | None:
    """The rows the run was trained on, where they still lie."""
    where = epath.Path(run.experiment.data.prepared or run.directory / workdir.DATA)
    return open_prepared(where) if (where / manifests.FILE_NAME).exists() else None


def _write(found: Inspection, directory: epath.Path, progress: Progress) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    pictures = inspection_plots.pictures(found.text, found.gains)
    with progress("drawing", len(pictures) + 1) as advance:
        inspection_html.write(found, directory / PAGE)
        advance(1)
        for name, draw in pictures.items():
            plots.save(draw(), directory / f"{name}.png")
            advance(1)
    if found.text:
        save_distribution(found.text.families, directory / DISTRIBUTION)
    if found.gains:
        inspection_gains.save(found.gains, directory / GAINS)
    print(f"\npage: {directory / PAGE}")
