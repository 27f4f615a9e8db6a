"""report.html: one page that opens without a network, for a desk, a phone, the dark and print."""

import re
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from reports.document import Picture, Report
from reports.figures.canvas import GRID, INK, MUTED, SURFACE

_TEMPLATES = Path(__file__).parent / "templates"
# The inks of a figure and the page's own, which follow light and dark.
_INKS = {INK: "ink", MUTED: "muted", GRID: "grid", SURFACE: "surface"}


def page_text(report: Report) -> str:
    """The document; every text in it is escaped."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["inline"] = inline_svg
    style = Markup((_TEMPLATES / "report.css").read_text(encoding="utf-8"))  # noqa: S704 - ours
    return environment.get_template("report.html").render(report=report, style=style)


def inline_svg(picture: Picture) -> Markup:
    """The figure's SVG as a part of the page.

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
