"""The page of an inspection: one file in the style of the report, nothing from elsewhere, and every text escaped."""

from typing import Any

import jinja2
from etils import epath

from hybridlm.reports import inspection_plots, plots
from hybridlm.reports.blocks import words
from hybridlm.reports.inspection import ALL, Model, Text, percent


def write(title: str, text: Text | None, model: Model | None, path: epath.PathLike) -> None:
    """Writes the page."""
    epath.Path(path).write_text(render(title, text, model))


def render(title: str, text: Text | None, model: Model | None) -> str:
    """The page, with a part for the text and one for the model, where they are given."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("hybridlm", "reports"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"words": words, "fact": _fact, "percent": percent, "count": "{:,}".format}
    return environment.get_template("inspection.html").render(
        title=title,
        ALL=ALL,
        text=text,
        curve=plots.data_uri(inspection_plots.curve(text.frequencies)) if text else "",
        rows={row.title: plots.data_uri(inspection_plots.packed(row)) for row in text.rows} if text else {},
        model=model,
        masks={name: plots.data_uri(plots.mask(mask_TS)) for name, mask_TS in model.masks.items()} if model else {},
    )


def _fact(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)
