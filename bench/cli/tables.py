"""The tables that commands print."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:  # a command that prints a table need not load what makes a run
    from bench.records.trial import TrialRecord
    from bench.spec.job import Trial


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


def summary_table(records: Sequence[TrialRecord]) -> Table:
    """Make the table of the contenders with their medians, as in the report."""
    from reports.documents.terminal import NUMBERS, summary_rows

    header, rows = summary_rows(records)
    return table(header, rows, right=NUMBERS)
