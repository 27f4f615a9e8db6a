"""results.parquet: a row a trial, the columns of results.csv, each with its type."""

import io
from typing import Any

from bench.errors import ChoiceError
from reports.documents.run_report import Edition
from reports.exports.columns import trial_fields


def parquet_bytes(edition: Edition) -> bytes:
    """The file.

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
    kinds = {
        "text": pyarrow.string(),
        "bool": pyarrow.bool_(),
        "int": pyarrow.int64(),
        "float": pyarrow.float64(),
    }
    trials = [trial for source in edition.sources for trial in source.run.trials]
    runs = [source.name for source in edition.sources for _ in source.run.trials]
    columns: dict[str, Any] = {"run": pyarrow.array(runs, pyarrow.string())}
    for field in trial_fields():
        columns[field.name] = pyarrow.array(field.column(trials), kinds[field.kind])
    made = io.BytesIO()
    parquet.write_table(pyarrow.table(columns), made)
    return made.getvalue()
