"""Decodes the values of options, from text or from plain values, into structs of options.

A struct states each option's type and limits with `msgspec.Meta`, whose description completes the
message about an invalid value: "expected a whole number of 1 or more".
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from bench.errors import ChoiceError, split_list

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smh]?)")
_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}
_LONGEST_SECONDS = 1e7
_PERCENTAGE = re.compile(r"(\d+(?:\.\d+)?)\s*%")
_SHOWN_CHARACTERS = 60

T = TypeVar("T", bound=msgspec.Struct)


class OptionError(ChoiceError):
    """An option with an invalid value, or that cannot be combined with another.

    Attributes:
        option: the option's name, as a field.
        reason: what is wrong; with the name before it, a sentence.
    """

    def __init__(self, option: str, reason: str) -> None:
        super().__init__(f"{flag(option)} {reason}")
        self.option = option
        self.reason = reason


def flag(option: str) -> str:
    """Return the option as typed on the command line."""
    return f"--{option.replace('_', '-')}"


class Seconds(float):
    """A time, written as 90, 90s, 10m or 1.5h."""

    def __str__(self) -> str:
        """Return the time as it is typed."""
        return f"{self / 60:g}m" if self % 60 == 0 else f"{self:g}s"

    @classmethod
    def parse(cls, value: object) -> "Seconds":
        """Decode text or a number.

        Raises:
            ValueError: it is not a time, not above 0, or longer than 115 days.
        """
        match = _DURATION.fullmatch(str(value).strip())
        seconds = float(match[1]) * _UNITS[match[2]] if match else 0.0
        if not 0 < seconds <= _LONGEST_SECONDS:
            raise ValueError(value)
        return cls(seconds)


class Share(float):
    """A share, written as 2% or 0.02."""

    def __str__(self) -> str:
        """Return the share as it is typed."""
        return f"{100 * self:g}%"

    @classmethod
    def parse(cls, value: object) -> "Share":
        """Decode text with a percent sign, or a number.

        Raises:
            ValueError: it is not above 0 and below 1.
        """
        match = _PERCENTAGE.fullmatch(str(value).strip())
        share = float(match[1]) / 100 if match else value if isinstance(value, float) else 0.0
        if not 0 < share < 1:
            raise ValueError(value)
        return cls(share)


def decode(kind: type[T], values: Mapping[str, Any]) -> T:
    """Fill a struct of options.

    Args:
        kind: of the struct.
        values: by field; text or plain values.

    Raises:
        OptionError: a value is invalid, or options cannot be combined.
    """
    return kind(**{name: decode_option(kind, name, value) for name, value in values.items()})


def decode_option(kind: type[msgspec.Struct], name: str, value: Any) -> Any:
    """Decode the value of one option.

    Args:
        kind: the struct that has the option.
        name: the option's field.
        value: text, as typed, or a plain value. A list may be text with commas, or one value.

    Raises:
        OptionError: the value is invalid.
    """
    hint = _without_none(get_type_hints(kind, include_extras=True)[name])
    is_list = get_origin(get_args(hint)[0]) is list
    given = _as_list(value) if is_list else value
    texts = [one for one in (given if is_list else [given]) if isinstance(one, str)]
    try:
        if not all(map(is_text, texts)):
            raise ValueError("not UTF-8")
        # Text is converted to numbers, but among plain values 1 is not true.
        decoded = msgspec.convert(given, hint, strict=not texts, dec_hook=_decode_text)
    except ValueError as error:
        shown = repr(value)
        if len(shown) > _SHOWN_CHARACTERS:
            shown = f"{shown[:_SHOWN_CHARACTERS]}..."
        raise OptionError(
            name, f"cannot be {shown}: expected {hint.__metadata__[-1].description}"
        ) from error
    return list(dict.fromkeys(decoded)) if is_list else decoded


def is_text(value: str) -> bool:
    """Return whether the string has no NUL and no byte that is not text (a surrogate in Python)."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in value


def _without_none(hint: Any) -> Any:
    """Return the annotated type without None."""
    return hint if hasattr(hint, "__metadata__") else get_args(hint)[0]


def _as_list(value: Any) -> list[Any]:
    if isinstance(value, str):
        return split_list(value)
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _decode_text(kind: type, value: Any) -> Any:
    if isinstance(value, kind):
        return value
    if kind is Path and isinstance(value, str) and value:
        return Path(value)
    if kind is Seconds:
        return Seconds.parse(value)
    if kind is Share:
        return Share.parse(value)
    raise ValueError(value)
