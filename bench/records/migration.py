"""Older records brought to this version: one step from each version to the next.

A field that is new and has a default needs no step. A field that is renamed, split or changed in
its meaning does: `SCHEMA_VERSION` goes up by one and a step from the old number is added here,
with a stored run of that version in tests/support/runs.
"""

from collections.abc import Callable
from typing import Any

Step = Callable[[dict[str, Any]], dict[str, Any]]

# By the version that a step starts from; it gets a manifest or a record as plain JSON values.
STEPS: dict[int, Step] = {}


def has_way(version: int, target: int) -> bool:
    """Whether steps lead from the version to the target."""
    return all(start in STEPS for start in range(version, target)) and version < target


def brought_to(target: int, value: dict[str, Any], version: int) -> dict[str, Any]:
    """The value after every step up to the target version."""
    for start in range(version, target):
        value = STEPS[start](value)
    return {**value, "schema_version": target}
