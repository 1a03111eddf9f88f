"""The page of an inspection: one file in the style of the report, nothing from elsewhere, and every text escaped."""

from typing import Any

import jinja2
from etils import epath

from hybridlm.reports import inspection_plots, plots
from hybridlm.reports.blocks import words
from hybridlm.reports.inspection import WHOLE, Inspection, percent
from hybridlm.reports.inspection_gains import MEANING


def write(found: Inspection, path: epath.PathLike) -> None:
    """Writes the page."""
    epath.Path(path).write_text(render(found))


def render(found: Inspection) -> str:
    """The page, with a part for all that was found."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("hybridlm", "reports"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"words": words, "fact": _fact, "percent": percent, "count": "{:,}".format}
    environment.filters |= {"short": inspection_plots.short, "colors": inspection_plots.colors, "signed": signed}
    text, model, gains = found.text, found.model, found.gains
    return environment.get_template("inspection.html").render(
        title=found.title,
        WHOLE=WHOLE,
        MEANING=MEANING,
        text=text,
        splits=len({portion.split for portion in text.portions}) if text else 0,
        curve=plots.data_uri(inspection_plots.curve(text.frequencies)) if text else "",
        rows={row.title: plots.data_uri(inspection_plots.packed(row)) for row in text.rows} if text else {},
        gains=gains,
        expected=plots.data_uri(inspection_plots.expected(gains)) if gains and gains.gains else "",
        model=model,
        masks={name: plots.data_uri(plots.mask(mask_TS)) for name, mask_TS in model.masks.items()} if model else {},
    )


def signed(value: float) -> str:
    """A gain with its sign."""
    return f"{value:+.4f}"


def _fact(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)
