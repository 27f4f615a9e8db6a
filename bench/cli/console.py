"""The consoles of commands, and the tables that they print.

Results go to standard output, everything else to standard error.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:  # a command that prints a table need not load what makes a run
    from bench.records.reader import Run
    from bench.spec.job import Trial
    from reports import document

# A pipe or a file has no width; this is wide enough for every table.
_WIDTH_WITHOUT_TERMINAL = 160


def result_console(quiet: bool = False) -> Console:
    """Return the console of a command's results."""
    return _plain(sys.stdout, quiet=quiet)


def message_console(quiet: bool = False) -> Console:
    """Return the console of progress and notes; it does not wrap lines, so they can be copied."""
    console = _plain(sys.stderr, quiet=quiet)
    console.soft_wrap = True
    return console


def print_json(value: Any) -> None:
    """Print a value as indented JSON to standard output."""
    import msgspec

    print(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def _plain(stream: TextIO, quiet: bool) -> Console:
    """Return a console that prints text unchanged: what looks like markup may be a user's name."""
    file: TextIO = Lasting(stream)  # type: ignore[assignment]
    console = Console(file=file, quiet=quiet, highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = _WIDTH_WITHOUT_TERMINAL
    return console


class Lasting:
    """A stream whose reader may disappear: a closed terminal or pipe only loses what is printed.

    The run, its records and its report are not affected.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write the text, or drop it if the reader has disappeared."""
        try:
            return self._stream.write(text)
        except OSError:
            _silence(self._stream)
        return len(text)

    def flush(self) -> None:
        """Flush the stream."""
        try:
            self._stream.flush()
        except OSError:
            _silence(self._stream)

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


def _silence(stream: TextIO) -> None:
    """Redirect the stream to the null device, so that Python can flush its buffer at exit."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def table(header: Sequence[str], rows: Iterable[Sequence[str]], right: Iterable[str] = ()) -> Table:
    """Make a table of plain text.

    Args:
        header: titles of the columns.
        rows: cells.
        right: titles of columns with numbers, which are aligned to the right.
    """
    aligned = set(right)
    made = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for index, title in enumerate(header):
        is_number = title in aligned
        made.add_column(
            title,
            justify="right" if is_number else "left",
            overflow="fold",
            # Names and numbers are not wrapped; lists and prose are.
            no_wrap=is_number or index == 0,
        )
    for row in rows:
        made.add_row(*(Text(cell) for cell in row))
    return made


def document_table(made: document.Table) -> Table:
    """Make the table of a document's table."""
    numbers = [column.title for column in made.columns if column.number]
    return table([column.title for column in made.columns], made.rows, right=numbers)


def plan_table(trials: Sequence[Trial], versions: Mapping[str, str | None]) -> Table:
    """Make the table of all trials, in order, with the framework versions."""
    rows = [
        (
            str(number),
            trial.job.model,
            str(trial.job.batch_size),
            trial.job.backend_title,
            versions[trial.job.backend] or "not installed",
            trial.job.mode,
            trial.job.device,
            trial.job.precision,
            trial.job.input,
            str(trial.job.threads or "-"),
            str(trial.job.world_size),
            str(trial.job.hosts),
            str(trial.repeat),
            str(trial.seed),
        )
        for number, trial in enumerate(trials, start=1)
    ]
    what = ("model", "batch", "backend", "version", "mode", "device", "precision", "input")
    numbers = ("threads", "world", "hosts", "repeat", "seed")
    return table(("#", *what, *numbers), rows, right=("#", "batch", *numbers))


def print_summary(run: Run, results: Console) -> None:
    """Print the answers of a run, then the table of its contenders, as in the report."""
    from reports.documents.terminal import HEADER, NUMBERS, summary

    lines, rows = summary(run)
    for line in lines:
        results.print(line)
    results.print(table(HEADER, rows, right=NUMBERS))
