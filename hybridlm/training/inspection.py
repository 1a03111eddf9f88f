"""`inspect`: what a text holds, and what a model is, before anything is trained or scored."""

import tempfile

from etils import epath

from hybridlm.config.data import DataConfig
from hybridlm.config.errors import require
from hybridlm.config.exit_codes import ExitCode
from hybridlm.data import manifest as manifests
from hybridlm.data import progress as progresses
from hybridlm.data.prepare import prepare, prepare_for_evaluation
from hybridlm.data.prepared import Prepared, open_prepared
from hybridlm.data.progress import Progress
from hybridlm.reports import inspection_html, inspection_terminal
from hybridlm.reports.inspection import Model, Text, save_distribution
from hybridlm.training import model_inspection, text_inspection, workdir
from hybridlm.training.model_inspection import Run

PAGE, DISTRIBUTION = "inspection.html", "distribution.csv"


def inspect(data: str, model: str, directory: str, *, progress: Progress = progresses.show) -> ExitCode:
    """Prints what `data` and `model` hold (one may be ""), and writes the page and the distribution to `directory`."""
    with tempfile.TemporaryDirectory() as scratch:
        run = model_inspection.open_run(epath.Path(model)) if model else None
        prepared = rows_of(data, run, epath.Path(directory or scratch) / workdir.DATA, progress) if data else None
        text = text_inspection.describe(prepared, progress) if prepared else None
        found = model_inspection.describe(run, prepared or _own_rows(run), progress) if run else None
    inspection_terminal.show(text, found)
    if directory:
        _write(" and ".join(filter(None, (data, model))), text, found, epath.Path(directory))
    return ExitCode.DONE


def rows_of(data: str, run: Run | None, where: epath.Path, progress: Progress) -> Prepared:
    """The rows of a prepared directory; text is prepared in `where`.

    Text becomes rows as the run would read them if there is one, and otherwise as `hybridlm train` would with the
    default `DataConfig`.
    """
    path = epath.Path(data)
    require(
        not (path / workdir.CONFIG).exists(),
        f"--data={data} is the directory of a run, not text; name its rows by --data={data}/{workdir.DATA}, or the run "
        f"by --model={data}.",
    )
    if (path / manifests.FILE_NAME).exists() or (path.is_dir() and any(path.glob("*.array_record"))):
        return _same_vocabulary(open_prepared(path), run)
    if run is None:
        return prepare(DataConfig(sources=(data,)), where, progress=progress)
    return prepare_for_evaluation(data, run.vocabulary, run.experiment.data.row_length, where, progress=progress)


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


def _write(title: str, text: Text | None, model: Model | None, directory: epath.Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    inspection_html.write(title, text, model, directory / PAGE)
    if text:
        save_distribution(text.families, directory / DISTRIBUTION)
    print(f"\npage: {directory / PAGE}")
