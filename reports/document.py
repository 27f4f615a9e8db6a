"""A report as a value: sections of text, tables and figures, without a word of HTML or Markdown.

Every string is plain text; the writers escape it.
"""

from dataclasses import dataclass
from typing import NamedTuple


class Column(NamedTuple):
    """A table's column; `number` aligns it to the right."""

    title: str
    number: bool = False


class Table(NamedTuple):
    """A table. The first cell of each row names the row.

    Attributes:
        caption: what the table shows, for a reader who comes to it without the heading.
        columns: as many as a row has cells at most.
        rows: cells of plain text. Where a row is short, its last cell goes on to the end.
        subjects: the contender that each row is about, by its place in the ranking; empty where
            rows are about other things.
        below: number of rows at the end without a rank, which are set apart.
    """

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    subjects: tuple[int, ...] = ()
    below: int = 0


class Picture(NamedTuple):
    """A drawn figure.

    Attributes:
        stem: of the names of its files.
        description: what it shows, for a reader who does not see it.
        caption: how to read it.
        svg: one file.
        png: the other.
    """

    stem: str
    description: str
    caption: str
    svg: bytes
    png: bytes


class Chart(NamedTuple):
    """An interactive chart of the page; other documents leave it out.

    Attributes:
        name: which of the page's charts.
        description: what it shows, for a reader who does not see it.
        caption: how to read it.
    """

    name: str
    description: str
    caption: str


@dataclass(frozen=True)
class Part:
    """A piece of a section; what it does not have is empty.

    Attributes:
        heading: above the part.
        note: small print below the heading.
        lead: the answer in a few words.
        paragraphs: sentences.
        facts: names, each with its value.
        code: shown as typed.
        chart: stands in the page where other documents have the picture, if there is one.
        ranking: the position of the ranking that the part is about, if it is about one.
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
        reference: it is looked up rather than read.
        controls: the page lets the reader choose what its charts show.
    """

    anchor: str
    title: str
    parts: tuple[Part, ...]
    intro: str = ""
    reference: bool = False
    controls: bool = False


@dataclass(frozen=True)
class Report:
    """The whole document."""

    title: str
    subtitle: str
    sections: tuple[Section, ...]

    @property
    def pictures(self) -> list[Picture]:
        """All figures in order."""
        parts = (part for section in self.sections for part in section.parts)
        return [part.picture for part in parts if part.picture is not None]
