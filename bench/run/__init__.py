"""From a request to records: prepare, plan, certificates, workers, outcomes.

The package can be called: `bench.run(...)` is the Python API for running a benchmark. Python binds
the name `bench.run` to this package as soon as one of its modules is imported, so a function of the
same name would disappear.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

import bench

if TYPE_CHECKING:
    from reports.api import Run


class _Callable(ModuleType):
    """A module that can be called."""

    def __call__(self, **options: Any) -> Run:
        """Run a benchmark and return its results.

        Args:
            **options: the options of `bench run`, with `_` instead of `-`. A value has the same
                form as in a run file: text, a number, or a list of them. In addition, `output` is
                the run's folder (runs/<UTC timestamp> by default), and with `progress=True` the
                trials are printed as they end.

        Returns:
            The run, as `bench.load` returns it.

        Raises:
            bench.errors.UserError: an option does not exist or has an invalid value, or the trials
                are not possible here.
            KeyboardInterrupt: the user stopped the run; its folder contains what was measured.
        """
        return bench._run(**options)


sys.modules[__name__].__class__ = _Callable
