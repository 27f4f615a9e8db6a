"""results.csv: one line a trial with every scalar field of its record."""

import csv
import io
import math
from collections.abc import Sequence
from typing import Any

from bench.records.trial import TrialRecord
from reports.analysis.contenders import Spread
from reports.analysis.rankings import Ranking
from reports.analysis.runs import Source
from reports.documents.run_report import Edition
from reports.exports.columns import Field, trial_fields
from reports.metrics import METRICS

# A spreadsheet takes a text that starts so for a formula and runs it.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


def csv_text(sources: Sequence[Source]) -> str:
    """The trials of all runs: the run's name, then the record's fields in its order.

    What is not known is empty. A text that a spreadsheet would take for a formula starts with an
    apostrophe.
    """
    made = io.StringIO(newline="")
    writer = csv.writer(made)  # ends lines as RFC 4180 says, so that a lone CR is quoted too
    fields = trial_fields()
    writer.writerow(("run", *(field.name for field in fields)))
    for source in sources:
        trials = source.run.trials
        names = [_cell(source.name)] * len(trials)
        columns = [_cells(field, trials) for field in fields]
        writer.writerows(zip(names, *columns, strict=True))
    return made.getvalue()


def _cells(field: Field, trials: Sequence[TrialRecord]) -> list[Any]:
    """The column as csv takes it: numbers need no care, and there are millions of them."""
    values = field.column(trials)
    return [_cell(value) for value in values] if field.kind == "text" else values


def csv_bytes(edition: Edition) -> bytes:
    """The file of an edition."""
    return csv_text(edition.sources).encode()


def contenders_csv(rankings: Sequence[Ranking]) -> str:
    """A line a contender: its ranking's choices, then median, least and most of each metric."""
    made = io.StringIO(newline="")
    writer = csv.writer(made)
    choices = list(rankings[0].choices) if rankings else []
    told = ("contender", "backend", "mode", "equivalence", "repeats", "attempted")
    spreads = [f"{m.key} {which}" for m in METRICS for which in ("median", "min", "max")]
    writer.writerow((*choices, *told, *spreads))
    for ranking in rankings:
        for contender in ranking.measured:
            own = (contender.label, *(getattr(contender, name) for name in told[1:]))
            values = [v for m in METRICS for v in _three(contender[m])]
            writer.writerow([_cell(v) for v in (*ranking.choices.values(), *own, *values)])
    return made.getvalue()


def _three(spread: Spread) -> list[float | None]:
    values = (spread.median, spread.minimum, spread.maximum)
    return [value if math.isfinite(value) else None for value in values]


def _cell(value: Any) -> Any:
    """The value as csv takes it; numbers stay numbers, a negative one too."""
    if isinstance(value, str) and value.startswith(_FORMULA_STARTS):
        return f"'{value}"
    return value
