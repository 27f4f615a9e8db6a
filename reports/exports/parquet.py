"""results.parquet: the rows and columns of results.csv, each column with its type."""

import io
from typing import Any

import pandas as pd
from pandas.api.types import is_bool_dtype, is_integer_dtype, is_object_dtype

from bench.errors import ChoiceError
from reports.documents.run_report import Edition


def parquet_bytes(edition: Edition) -> bytes:
    """Return the file.

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
