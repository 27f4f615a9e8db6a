"""What other packages bring through entry points."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Any

from bench.errors import PluginError


def points_of(group: str) -> list[EntryPoint]:
    """The entry points of a group."""
    try:
        return list(entry_points(group=group))
    except TypeError:  # Python 3.9 gives all groups at once
        every: Any = entry_points()
        return list(every.get(group, ()))


def loaded(point: EntryPoint) -> object:
    """What the entry point brings.

    Raises:
        PluginError: it cannot be imported.
    """
    try:
        return point.load()
    except Exception as error:
        raise PluginError(f"{_name(point)}: {type(error).__name__}: {error}") from error


def refusal(point: EntryPoint, what: str) -> PluginError:
    """The error that says what is wrong with what the entry point brings."""
    return PluginError(f"{_name(point)}: {what}")


def _name(point: EntryPoint) -> str:
    return f"{point.group} {point.name}"
