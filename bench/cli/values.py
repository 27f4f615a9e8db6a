"""The types of click's options: values of a request, lists of names and paths."""

from pathlib import Path
from typing import Any

import click
import msgspec

from bench.errors import split_list
from bench.run.decode import decode_option, is_text


class OptionValue(click.ParamType[Any]):
    """An option whose text is decoded as a field of a struct of options."""

    def __init__(self, kind: type[msgspec.Struct], field: str) -> None:
        self._kind = kind
        self._field = field
        self.name = field.rpartition("_")[2]

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Decode the text.

        Raises:
            bench.run.decode.OptionError: the value is invalid.
        """
        return decode_option(self._kind, self._field, value)


class NameList(click.ParamType[Any]):
    """Names separated by commas."""

    name = "list"

    def convert(self, value: Any, param: Any, ctx: Any) -> list[str]:
        """Split the text into names, each once."""
        if isinstance(value, list):
            return value
        if not is_text(value):
            self.fail(f"{value!r} is not text in UTF-8")
        return split_list(value)


class FilePath(click.ParamType[Any]):
    """A path that records can contain: UTF-8, not empty."""

    name = "path"

    def convert(self, value: Any, param: Any, ctx: Any) -> Path:
        """Return the path."""
        if isinstance(value, Path):
            return value
        if not value or not is_text(value):
            self.fail(f"{value!r} is not a path in UTF-8")
        return Path(value)
