"""Migrate records of older versions: one step from each version to the next.

A new field that has a default needs no step. A field that is renamed, moved or changed in meaning
does: raise `bench.spec.job.SCHEMA_VERSION` by one, add a step from the old number here, and store a
run of the old version in tests/support/runs.
"""

import re
from collections.abc import Callable
from typing import Any

Step = Callable[[dict[str, Any]], dict[str, Any]]

# Coordinates of a job that version 1 had side by side with the other fields of a record.
_JOB_FIELDS = (
    *("model", "batch_size", "backend", "mode", "device", "arm", "precision", "input"),
    *("world_size", "hosts"),
)
# Version 1 kept two coordinates of a record in the trial's name alone.
_THREADS = re.compile(r"-threads(\d+)(?:-|$)")
_PLACE = re.compile(r"-at([0-9a-f]+)-r\d+$")


def _nest_jobs(value: dict[str, Any]) -> dict[str, Any]:
    """Move the coordinates of a manifest's plan, of a record or of a certificate into its job."""
    if "plan" in value:
        return {**value, "plan": [_planned(each) for each in value["plan"]]}
    if "checks" in value:
        job, others = _split(value)
        return {**others, "job": {"batch_size": 0, **job}}
    job, others = _split(value)
    name = str(value.get("trial"))
    if threads := _THREADS.search(name):
        job["threads"] = int(threads[1])
    if place := _PLACE.search(name):
        job["place"] = place[1]
    return {**others, "job": job}


def _planned(trial: dict[str, Any]) -> dict[str, Any]:
    job, others = _split(trial)
    for name in ("threads", "place"):
        if name in others:
            job[name] = others[name]
    return {"job": job, **{name: others[name] for name in ("seed", "repeat") if name in others}}


def _split(value: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the coordinates of a job, and all other fields."""
    job = {name: value[name] for name in _JOB_FIELDS if name in value}
    return job, {name: each for name, each in value.items() if name not in _JOB_FIELDS}


# By the version that a step starts from; it takes a manifest, a record or a certificate as plain
# JSON values.
STEPS: dict[int, Step] = {1: _nest_jobs}


def can_migrate(version: int, target: int) -> bool:
    """Whether there are steps from the version to the target."""
    return version < target and all(start in STEPS for start in range(version, target))


def migrated(value: Any, version: int, target: int) -> dict[str, Any]:
    """Return the value after every step up to the target version.

    Raises:
        LookupError, TypeError, ValueError: the value is not what that version wrote.
    """
    if not isinstance(value, dict):
        raise TypeError(f"received {type(value).__name__}, expected an object")
    for start in range(version, target):
        value = STEPS[start](value)
    return {**value, "schema_version": target}
