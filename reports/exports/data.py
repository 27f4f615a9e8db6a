"""Files of data: results.csv, results.parquet and results.json.

CSV and Parquet have one row per trial with every scalar field of its record. JSON has the rankings
as the page computes with them, and every trial's record.
"""

import csv
import io
import math
from collections.abc import Sequence
from typing import Any

import msgspec
import pandas as pd
from pandas.api.types import is_bool_dtype, is_integer_dtype, is_object_dtype

from bench.errors import ChoiceError
from reports.analysis.contenders import Spread
from reports.analysis.rankings import Ranking
from reports.analysis.verdicts import Pair, pairs_of
from reports.documents.run_report import Edition
from reports.exports.html.payload import MOST_CONTENDERS, payload_of
from reports.metrics import METRICS

# A spreadsheet takes a text with such a start for a formula and runs it.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")
# A worker's variables and what it printed stay in trials.jsonl: a report goes to other people.
_LEFT_OUT = ("variables", "log")


def csv_text(trials: pd.DataFrame) -> str:
    """Return the trials of all runs, one line each; unknown values are empty.

    A text that a spreadsheet would take for a formula starts with an apostrophe.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text)  # ends lines with CRLF as RFC 4180 requires, and quotes a lone CR
    writer.writerow(trials.columns)
    writer.writerows(zip(*(_cells(trials[name]) for name in trials), strict=True))
    return text.getvalue()


def _cells(column: "pd.Series[Any]") -> list[Any]:
    """Return the column's cells; only texts can be formulas, and there are millions of numbers."""
    values = column.astype(object).where(column.notna(), None).tolist()
    return list(map(_cell, values)) if is_object_dtype(column) else values


def csv_bytes(edition: Edition) -> bytes:
    """Return the file of an edition."""
    return csv_text(edition.trials).encode()


def contenders_csv(rankings: Sequence[Ranking]) -> str:
    """Return one line per contender: its ranking's choices, then the spread of each metric."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    choices = list(rankings[0].choices) if rankings else []
    facts = ("contender", "backend", "mode", "equivalence", "repeats", "attempted")
    spreads = [f"{m.key} {which}" for m in METRICS for which in ("median", "min", "max")]
    writer.writerow((*choices, *facts, *spreads))
    for ranking in rankings:
        for contender in ranking.measured:
            own = (contender.label, *(getattr(contender, name) for name in facts[1:]))
            values = [v for m in METRICS for v in _three(contender[m])]
            writer.writerow([_cell(v) for v in (*ranking.choices.values(), *own, *values)])
    return text.getvalue()


def _three(spread: Spread) -> list[float | None]:
    values = (spread.value, spread.minimum, spread.maximum)
    return [value if math.isfinite(value) else None for value in values]


def _cell(value: Any) -> Any:
    """Return the value for csv; numbers stay numbers, also negative ones."""
    if isinstance(value, str) and value.startswith(_FORMULA_STARTS):
        return f"'{value}"
    return value


def parquet_bytes(edition: Edition) -> bytes:
    """Return results.parquet, each column with its type.

    Raises:
        ChoiceError: pyarrow is not installed.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise ChoiceError(
            "received the format parquet, which needs pyarrow: python -m pip install "
            "'evenbench[parquet]'"
        ) from error
    trials = edition.trials
    schema = pyarrow.schema([(name, _arrow_type(pyarrow, trials[name])) for name in trials])
    table = pyarrow.Table.from_pandas(trials, schema, preserve_index=False)
    file = io.BytesIO()
    parquet.write_table(table.replace_schema_metadata(None), file)
    return file.getvalue()


def _arrow_type(pyarrow: Any, column: "pd.Series[Any]") -> Any:
    """Return the type of a column; without any value it cannot be inferred."""
    if is_object_dtype(column):
        return pyarrow.string()
    if is_bool_dtype(column):
        return pyarrow.bool_()
    return pyarrow.int64() if is_integer_dtype(column) else pyarrow.float64()


def json_text(edition: Edition, most_paired: int = MOST_CONTENDERS) -> str:
    """Return title, subtitle, metrics, rankings, and the trials with their run's name.

    Args:
        edition: the report.
        most_paired: the pairs are those of so many contenders of a ranking, from the first.
    """
    payload = payload_of(edition.rankings)
    value = {
        "title": edition.report.title,
        "subtitle": edition.report.subtitle,
        "metrics": payload["metrics"],
        "rankings": [
            shown | {"pairs": [_pair(pair) for pair in pairs_of(ranking, most_paired)]}
            for shown, ranking in zip(payload["rankings"], edition.rankings, strict=True)
        ],
        "trials": [
            {"run": source.name} | _fields(record)
            for source in edition.sources
            for record in source.run.trials
        ],
    }
    return msgspec.json.encode(value).decode()


def _pair(pair: Pair) -> dict[str, Any]:
    known = pair.ratio.is_known
    return {
        "one": pair.one,
        "other": pair.other,
        "ratio": pair.ratio.estimate,
        "low": pair.ratio.low if known else None,
        "high": pair.ratio.high if known else None,
        "verdict": pair.verdict,
        "repeats_needed": pair.repeats_needed,
    }


def json_bytes(edition: Edition) -> bytes:
    """Return the document, indented."""
    return msgspec.json.format(json_text(edition).encode(), indent=2) + b"\n"


def _fields(record: msgspec.Struct) -> dict[str, object]:
    values: dict[str, object] = msgspec.to_builtins(record)
    return {name: value for name, value in values.items() if name not in _LEFT_OUT}
