"""Loads the backends and models that other packages provide through entry points."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Any

from bench.errors import PluginError


def entry_points_of(group: str) -> list[EntryPoint]:
    """List the entry points of a group."""
    try:
        return list(entry_points(group=group))
    except TypeError:  # Python 3.9 returns all groups at once
        every: Any = entry_points()
        return list(every.get(group, ()))


def load_entry_point(point: EntryPoint) -> object:
    """Load the object of an entry point.

    Raises:
        PluginError: the object cannot be imported.
    """
    try:
        return point.load()
    except Exception as error:
        raise PluginError(f"{_name(point)}: {type(error).__name__}: {error}") from error


def plugin_error(point: EntryPoint, what: str) -> PluginError:
    """Make the error that an entry point's object is invalid."""
    return PluginError(f"{_name(point)}: {what}")


def _name(point: EntryPoint) -> str:
    return f"{point.group} {point.name}"
