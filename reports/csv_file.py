"""results.csv: one line a trial with every scalar field of its record."""

import csv
import io
from collections.abc import Sequence
from typing import Any

from bench.records import TrialRecord
from reports.sources import Source

# Nested: they stay in trials.jsonl.
_LEFT_OUT = ("versions", "per_epoch", "environment", "log")
FIELDS = tuple(name for name in TrialRecord.__struct_fields__ if name not in _LEFT_OUT)
# A spreadsheet takes a text that starts so for a formula and runs it.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


def csv_text(sources: Sequence[Source]) -> str:
    """The trials of all runs: the run's name, then the record's fields in its order.

    What is not known is empty. A text that a spreadsheet would take for a formula starts with an
    apostrophe.
    """
    made = io.StringIO(newline="")
    writer = csv.writer(made)  # ends lines as RFC 4180 says, so that a lone CR is quoted too
    writer.writerow(("run", *FIELDS))
    for source in sources:
        for trial in source.run.trials:
            values = (source.name, *(getattr(trial, name) for name in FIELDS))
            writer.writerow([_cell(value) for value in values])
    return made.getvalue()


def _cell(value: Any) -> Any:
    """The value as csv takes it; numbers stay numbers, a negative one too."""
    if isinstance(value, str) and value.startswith(_FORMULA_STARTS):
        return f"'{value}"
    return value
