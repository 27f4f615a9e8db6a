"""Theano and PyTensor as backends."""

from __future__ import annotations

import os
import tempfile
from importlib import import_module
from pathlib import Path
from typing import ClassVar, Optional

from backends.api import Backend, Device, Session, Work, Workload
from backends.theano import PYTENSOR, THEANO


class _SymbolicBackend(Backend):
    """A library of the family, on the CPU.

    Attributes:
        settings: the library's settings, by name.
    """

    settings: ClassVar[dict[str, str]]

    def __init__(self, threads: int) -> None:
        """Write the library's settings, then import it."""
        name = self.recipe.name
        _write_flags(name, {**self.settings, "openmp": str(threads > 1)})
        self._engine = import_module(f"backends.theano.on_{name}").ENGINE
        self._sessions = import_module("backends.theano.session")
        self._peak = import_module("backends.theano.peak")

    def multiply(self, size: int, device: Device, precision: str) -> Optional[Work]:
        """Return a product of two matrices; see `Backend.multiply`."""
        work: Optional[Work] = self._peak.multiply(self._engine, size, precision)
        return work

    def copy(self, size: int, device: Device) -> Work:
        """Return a copy in memory; see `Backend.copy`."""
        work: Work = self._peak.copy(self._engine, size)
        return work

    def _session(self, workload: Workload) -> Session:
        session: Session = self._sessions.SymbolicSession(workload, self._engine)
        return session


class TheanoBackend(_SymbolicBackend):
    """Theano on the CPU: its GPU support needs a library that is no longer available."""

    recipe = THEANO
    packages = ("Theano", "numpy", "scipy")
    settings: ClassVar[dict[str, str]] = {
        "device": "cpu",
        "floatX": "float32",
        "blas.ldflags": "-lopenblas",
        # Intermediate results keep their memory from step to step.
        "allow_gc": "False",
    }


class PyTensorBackend(_SymbolicBackend):
    """PyTensor on the CPU."""

    recipe = PYTENSOR
    packages = ("pytensor", "numba", "numpy", "scipy")
    settings: ClassVar[dict[str, str]] = {"floatX": "float32", "blas__ldflags": "-lopenblas"}


def _write_flags(name: str, settings: dict[str, str]) -> None:
    """Write the variable with the settings, which the library reads when it is imported.

    Code is compiled in the process's folder for temporary files, and so once per trial, unless
    the variable names another folder. The number of threads comes from the environment.
    """
    folder = {"base_compiledir": str(Path(tempfile.gettempdir()) / name)}
    own = ",".join(f"{key}={value}" for key, value in {**settings, **folder}.items())
    variable = f"{name.upper()}_FLAGS"
    # The last value of a repeated setting is used.
    given = os.environ.get(variable, "")
    os.environ[variable] = f"{own},{given}" if given else own
