"""report.html: one page that opens offline, on a desktop, a phone, in dark mode and in print.

It contains the tables and, for readers without scripts, the figures; the script draws the charts,
filters, sorts and weighs. Nothing is loaded: the page's security policy forbids it.

The chart library and the data are packed as base64 of gzip: the library takes 2 MB instead of 5, so
the page fits into an e-mail. Browsers since 2023 unpack it themselves (DecompressionStream).
"""

import base64
import gzip
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from reports.document import Picture, Report
from reports.figures.canvas import GRID, INK, MUTED, SURFACE

_TEMPLATES = Path(__file__).parent / "templates"
# In the order in which they use each other.
_SCRIPTS = (
    *("numbers", "elements", "state", "filters", "sorting", "plots"),
    *("bars", "curves", "slices", "history", "decision", "downloads", "main"),
)
# The inks of a figure and the page's own, which follow light and dark.
_INKS = {INK: "ink", MUTED: "muted", GRID: "grid", SURFACE: "surface"}


class Download(NamedTuple):
    """A file that the page offers for download."""

    name: str
    kind: str
    text: str
    title: str


def page_text(
    report: Report, payload: Mapping[str, Any], downloads: tuple[Download, ...] = ()
) -> str:
    """Return the document; every text in it is escaped.

    Args:
        report: its content.
        payload: data of its script, as `payload_of` returns it.
        downloads: files that it offers.
    """
    return _template().render(
        report=report,
        style=_ours("report.css"),
        script=Markup("\n").join(_ours(f"script/{name}.js") for name in _SCRIPTS),
        data=script_json(payload),
        library=packed_library(),
        downloads=[(file, packed(file.text)) for file in downloads],
    )


@cache
def _template() -> Template:
    """Compile the template once per process."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["inline"] = inline_svg
    return environment.get_template("report.html")


def _ours(name: str) -> Markup:
    return Markup((_TEMPLATES / name).read_text(encoding="utf-8"))  # noqa: S704 - ours


def script_json(value: Any) -> Markup:
    """Return the value as JSON that cannot end its script element, whatever texts it contains."""
    text = msgspec.json.encode(value).decode()
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return Markup(text)  # noqa: S704 - no letter is left that ends a script


def inline_svg(picture: Picture) -> Markup:
    """Return the figure's SVG as a part of the page.

    It takes the page's inks and the width that it is given, its ids are made unique within the
    page, and it is read as one image with a description.
    """
    text = picture.svg.decode()
    box = re.search(r'viewBox="[^"]*"', text)
    if box is None:
        raise ValueError(f"figure {picture.stem}: received an SVG without viewBox, expected one")
    body = text[text.index(">", box.end()) + 1 :]
    # Its own style sheet would hold for the whole page; report.css says the same for figures.
    body = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", body, flags=re.DOTALL)
    body = re.sub(r'(\bid="|xlink:href="#|url\(#)', rf"\g<1>{picture.stem}-", body)
    for ink, name in _INKS.items():
        body = body.replace(ink, f"var(--{name})")
    opening = Markup('<svg role="img" aria-label="{}" {}>').format(
        picture.description,
        Markup(box[0]),  # noqa: S704 - numbers
    )
    return opening + Markup(body)  # noqa: S704 - matplotlib escapes the texts within


def packed(text: str) -> str:
    """Return the text as base64 of gzip; the same text gives the same result."""
    return base64.b64encode(gzip.compress(text.encode(), compresslevel=6, mtime=0)).decode()


@cache
def packed_library() -> str:
    """Plotly's script, packed."""
    return packed(get_plotlyjs())
