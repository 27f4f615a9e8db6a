"""Train one model in several deep-learning frameworks, prove equal work, compare their speed.

The Python API is `load`, which returns the results of a run as DataFrames, and `run`, which runs a
benchmark. Workers import this package too, so each function imports what it needs when called.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import os

    from reports.api import Run

__version__ = "0.1.0"


def load(folder: str | os.PathLike[str]) -> Run:
    """Read a run.

    Args:
        folder: the run's folder, as `bench run` prints it.

    Returns:
        The run, with its trials, rankings and certificates as DataFrames.

    Raises:
        bench.errors.RecordError: the folder contains no run.
    """
    from reports.api import read

    return read(folder)


def _run(**options: Any) -> Run:
    """Run a benchmark; see `bench.cli.sessions.run`."""
    from bench.cli.sessions import run

    return load(run(**options))


def __getattr__(name: str) -> Any:
    if name == "run":
        return importlib.import_module("bench.run")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
