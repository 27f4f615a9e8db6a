"""A report as a value: sections of text, tables and figures, without HTML or Markdown.

Every string is plain text; the writers escape it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple


class Column(NamedTuple):
    """A table's column; `number` aligns it to the right."""

    title: str
    number: bool = False


def texts(*titles: str) -> tuple[Column, ...]:
    """Return columns of text."""
    return tuple(map(Column, titles))


def numbers(*titles: str) -> tuple[Column, ...]:
    """Return columns of numbers."""
    return tuple(Column(title, number=True) for title in titles)


class Table(NamedTuple):
    """A table. The first cell of each row names the row.

    Attributes:
        caption: what the table shows, for a reader who has not seen the heading.
        columns: at least as many as the longest row has cells.
        rows: cells of plain text. The last cell of a short row extends to the end.
        subjects: for each row its contender, by position in the ranking; empty if rows have other
            subjects.
        below: number of rows at the end without a rank, which are set apart.
    """

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    subjects: tuple[int, ...] = ()
    below: int = 0


@dataclass(frozen=True)
class Picture:
    """A figure, drawn when one of its files is first requested: few documents need both.

    Attributes:
        stem: name of its files without the ending.
        description: what it shows, for a reader who does not see it.
        caption: how to read it.
        draw: returns the figure as a file of the given format, `svg` or `png`.
    """

    stem: str
    description: str
    caption: str
    draw: Callable[[str], bytes]

    @cached_property
    def svg(self) -> bytes:
        """The figure as SVG."""
        return self.draw("svg")

    @cached_property
    def png(self) -> bytes:
        """The figure as PNG."""
        return self.draw("png")


class Chart(NamedTuple):
    """An interactive chart of the page; other documents leave it out.

    Attributes:
        name: identifier of the page's chart.
        description: what it shows, for a reader who does not see it.
        caption: how to read it.
    """

    name: str
    description: str
    caption: str


@dataclass(frozen=True)
class Part:
    """A piece of a section; missing parts are empty.

    Attributes:
        heading: above the part.
        note: small print below the heading.
        lead: the answer in a few words.
        paragraphs: sentences.
        facts: names with their values.
        code: shown unchanged.
        chart: replaces the picture in the page.
        ranking: position of the ranking that the part describes, if any.
    """

    heading: str = ""
    note: str = ""
    lead: str = ""
    paragraphs: tuple[str, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    code: str = ""
    picture: Picture | None = None
    table: Table | None = None
    chart: Chart | None = None
    ranking: int | None = None


@dataclass(frozen=True)
class Section:
    """A section.

    Attributes:
        anchor: its identifier in the page.
        title: its heading.
        parts: its content.
        intro: text below the heading.
        reference: whether it is looked up rather than read.
        controls: whether the reader chooses what its charts show.
    """

    anchor: str
    title: str
    parts: tuple[Part, ...]
    intro: str = ""
    reference: bool = False
    controls: bool = False


@dataclass(frozen=True)
class Report:
    """The whole document.

    Attributes:
        title: its title.
        subtitle: the line below the title.
        sections: in the order in which they are read.
    """

    title: str
    subtitle: str
    sections: tuple[Section, ...]

    @property
    def pictures(self) -> list[Picture]:
        """All figures in order."""
        parts = (part for section in self.sections for part in section.parts)
        return [part.picture for part in parts if part.picture is not None]
