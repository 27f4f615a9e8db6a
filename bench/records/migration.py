"""Migrate files of older schema versions, one step per version.

A new field with a default needs no step. To rename, move or redefine a field, raise
`bench.spec.job.SCHEMA_VERSION` by one, add a step from the old version here, and store a run of the
old version in tests/support/runs.
"""

import re
from collections.abc import Callable
from typing import Any

Step = Callable[[dict[str, Any]], dict[str, Any]]

# Coordinates of a job that version 1 mixed with the other fields of a record.
_JOB_FIELDS = (
    *("model", "batch_size", "backend", "mode", "device", "arm", "precision", "input"),
    *("world_size", "hosts"),
)
# Version 1 stored two coordinates of a record in the trial's name only.
_THREADS = re.compile(r"-threads(\d+)(?:-|$)")
_PLACE = re.compile(r"-at([0-9a-f]+)-r\d+$")


def _nest_jobs(value: dict[str, Any]) -> dict[str, Any]:
    """Move the coordinates in a manifest's plan, a record or a certificate into a job.

    A record's `environment` becomes `variables`, because a job has an environment too.
    """
    if "plan" in value:
        return {**value, "plan": [_nest_planned_job(each) for each in value["plan"]]}
    if "checks" in value:  # a certificate, which is valid for every batch size
        job, others = _split(value)
        return {**others, "job": {"batch_size": 0, **job}}
    job, others = _split(value)
    name = str(value.get("trial"))
    if threads := _THREADS.search(name):
        job["threads"] = int(threads[1])
    if place := _PLACE.search(name):
        job["place"] = place[1]
    others["variables"] = others.pop("environment", {})
    return {**others, "job": job}


def _nest_planned_job(trial: dict[str, Any]) -> dict[str, Any]:
    """Move the coordinates of a trial in the plan into a job."""
    job, others = _split(trial)
    for name in ("threads", "place"):
        if name in others:
            job[name] = others[name]
    return {"job": job, **{name: others[name] for name in ("seed", "repeat") if name in others}}


def _split(value: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Split the fields into the coordinates of a job and all others."""
    job = {name: value[name] for name in _JOB_FIELDS if name in value}
    return job, {name: each for name, each in value.items() if name not in _JOB_FIELDS}


# The steps by the version that they migrate from. A step takes and returns a manifest, a record or
# a certificate as plain JSON values.
STEPS: dict[int, Step] = {1: _nest_jobs}


def can_migrate(version: int, target: int) -> bool:
    """Return whether there are steps from the version to the target version."""
    return version < target and all(start in STEPS for start in range(version, target))


def migrate(value: Any, version: int, target: int) -> dict[str, Any]:
    """Apply every step from the version to the target version.

    Args:
        value: a manifest, a record or a certificate as plain JSON values.
        version: schema version of the value.
        target: schema version of the result.

    Raises:
        LookupError, TypeError, ValueError: the value does not follow the format of its version.
    """
    if not isinstance(value, dict):
        raise TypeError(f"received a JSON {type(value).__name__}, expected an object")
    for start in range(version, target):
        value = STEPS[start](value)
    return {**value, "schema_version": target}
