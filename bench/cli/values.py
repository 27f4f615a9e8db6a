"""Option values: lists, durations and counts, each checked as it is read."""

import re
from pathlib import Path
from typing import Any

import click

from bench.errors import split_list

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smh]?)")
AUTO = "auto"
_MOST_COUNTS = 100
_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


class NameList(click.ParamType[Any]):
    """Names separated by commas."""

    name = "list"

    def convert(self, value: Any, param: Any, ctx: Any) -> list[str]:
        """The names, each once."""
        if isinstance(value, list):
            return value
        if not _is_text(value):
            self.fail(f"received {value!r}, expected names in UTF-8")
        return split_list(value)


class FilePath(click.ParamType[Any]):
    """A path that records can hold: UTF-8, not empty."""

    name = "path"

    def convert(self, value: Any, param: Any, ctx: Any) -> Path:
        """The path."""
        if isinstance(value, Path):
            return value
        if not value or not _is_text(value):
            self.fail(f"received {value!r}, expected a path in UTF-8 that is not empty")
        return Path(value)


def _is_text(value: str) -> bool:
    """Whether it holds no byte that is no text (which Python keeps as a surrogate), and no NUL."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in value


class CountList(click.ParamType[Any]):
    """Whole numbers of 1 or more, separated by commas."""

    name = "list"

    def convert(self, value: Any, param: Any, ctx: Any) -> list[int]:
        """The numbers, each once."""
        if isinstance(value, list):
            return value
        names = split_list(value)
        if len(names) > _MOST_COUNTS:
            self.fail(f"received {len(names):,} numbers, expected at most {_MOST_COUNTS}")
        if not names or not all(re.fullmatch(r"[1-9]\d{0,6}", name) for name in names):
            self.fail(f"received {value!r}, expected whole numbers of 1 or more like 64,256")
        return list(dict.fromkeys(int(name) for name in names))


class FactorList(click.ParamType[Any]):
    """Numbers above 0, separated by commas."""

    name = "list"

    def convert(self, value: Any, param: Any, ctx: Any) -> list[float]:
        """The numbers, each once."""
        if isinstance(value, list):
            return value
        names = split_list(value)
        are_numbers = all(re.fullmatch(r"\d{1,4}(\.\d{1,4})?", name) for name in names)
        if not names or not are_numbers or not all(map(float, names)):
            self.fail(f"received {value!r}, expected numbers above 0 like 0.5,1,2")
        return list(dict.fromkeys(map(float, names)))


class Repeats(click.ParamType[Any]):
    """A whole number of 1 or more, or `auto`."""

    name = "repeats"

    def convert(self, value: Any, param: Any, ctx: Any) -> int | None:
        """The number; None for auto."""
        if value == AUTO:
            return None
        if not re.fullmatch(r"[1-9]\d{0,4}", str(value)):
            self.fail(f"received {value!r}, expected a whole number of 1 or more, or {AUTO}")
        return int(value)


class Percentage(click.ParamType[Any]):
    """A share such as 2% or 0.5%."""

    name = "percentage"

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        """The share: 0.02 for 2%."""
        if isinstance(value, float):
            return value
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*%", str(value).strip())
        share = float(match[1]) / 100 if match else 0.0
        if not 0 < share < 1:
            self.fail(f"received {value!r}, expected a percentage above 0% like 2% or 0.5%")
        return share


class Duration(click.ParamType[Any]):
    """A time such as 90, 90s, 10m or 1.5h."""

    name = "duration"

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        """Seconds."""
        if isinstance(value, float):
            return value
        match = _DURATION.fullmatch(str(value).strip())
        seconds = float(match[1]) * _UNITS[match[2]] if match else 0.0
        if not 0 < seconds <= 1e7:
            self.fail(f"received {value!r}, expected a time above 0 like 90s, 10m or 1.5h")
        return seconds
