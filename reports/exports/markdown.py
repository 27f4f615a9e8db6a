"""report.md: the report in GitHub's Markdown, its tables aligned for who reads the source."""

import re
from collections.abc import Iterator

from reports.document import Part, Report, Section, Table

# Letters that would become markup, a mention or an entity; an underscore within a word does not.
_SPECIAL = re.compile(r"[\\`*\[\]<>|~#$@&]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "@": "&#64;", "|": "&#124;"}


def escape(text: str) -> str:
    """Escape the text so that Markdown shows it unchanged, on one line, also in a table."""
    return _SPECIAL.sub(lambda found: _ENTITIES.get(found[0], f"\\{found[0]}"), text)


def markdown_text(report: Report, figures: str) -> str:
    """The document.

    Args:
        report: what it says.
        figures: the folder of the figures, relative to the document.
    """
    blocks = [f"# {escape(report.title)}", escape(report.subtitle)]
    for section in report.sections:
        blocks += _section(section, figures)
    return "\n\n".join(blocks) + "\n"


def _section(section: Section, figures: str) -> list[str]:
    heading = f"## {escape(section.title)}"
    blocks = [escape(section.intro)] if section.intro else []
    blocks += [block for part in section.parts for block in _part(part, figures)]
    if not section.reference or not section.parts:
        return [heading, *blocks]
    # What is looked up is folded, so that a pull request shows the answer.
    return [heading, "<details><summary>Show</summary>", *blocks, "</details>"]


def _part(part: Part, figures: str) -> Iterator[str]:
    if part.heading:
        yield f"### {escape(part.heading)}"
    if part.note:
        yield escape(part.note)
    if part.lead:
        yield f"**{escape(part.lead)}**"
    yield from map(escape, part.paragraphs)
    if part.code:
        yield _code(part.code)
    if part.picture is not None:
        picture = part.picture
        yield f"![{escape(picture.description)}]({figures}/{picture.stem}.png)"
        yield escape(picture.caption)
    if part.table is not None and part.table.rows:
        yield _table(part.table)
    if part.facts:
        yield "\n".join(f"- {escape(name)}: {escape(value)}" for name, value in part.facts)


def _code(text: str) -> str:
    """Return the text in a code fence that is longer than any fence in it."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{text}\n{fence}"


def _table(table: Table) -> str:
    header = [escape(column.title) for column in table.columns]
    filled = ((*row, *[""] * (len(header) - len(row))) for row in table.rows)
    rows = [[escape(cell) for cell in row] for row in filled]
    widths = [max(3, *(len(row[i]) for row in [header, *rows])) for i in range(len(header))]
    numbers = [column.number for column in table.columns]

    def line(cells: list[str]) -> str:
        padded = [
            cell.rjust(width) if number else cell.ljust(width)
            for cell, width, number in zip(cells, widths, numbers, strict=True)
        ]
        return f"| {' | '.join(padded)} |"

    rule = [
        "-" * (width - 1) + ":" if number else "-" * width
        for width, number in zip(widths, numbers, strict=True)
    ]
    return "\n".join(line(cells) for cells in (header, rule, *rows))
