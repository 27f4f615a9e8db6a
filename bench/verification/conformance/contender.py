"""The contenders of the conformance tests: each backend in each of its modes."""

from __future__ import annotations

import importlib
import os
from functools import cache
from typing import NamedTuple

import pytest

from backends.api import Backend, Recipe, Session, Workload
from backends.registry import recipes
from bench.spec.training import Optimizer
from bench.verification.case import Case
from bench.verification.certify import Subject
from bench.verification.reference import workload

# Tests run in parallel processes, and threads that spin while they wait would slow the other
# processes down. Other tests run the real command with all threads.
THREADS = 1


class BackendMode(NamedTuple):
    """A backend in one of its modes. It runs on the backend's last device, which is the CPU.

    Attributes:
        recipe: the backend's recipe.
        backend: the backend, whose framework is imported.
        mode: the mode.
    """

    recipe: Recipe
    backend: Backend
    mode: str

    @property
    def is_in_first_mode(self) -> bool:
        """Whether the mode is the first of the recipe."""
        return self.mode == self.recipe.modes[0]

    def subject(self, precision: str = "float32") -> Subject:
        """Return the contender as the subject of a certificate."""
        return Subject(self.backend, self.backend.devices()[-1], self.mode, precision)

    def workload(self, case: Case, optimizer: Optimizer, precision: str = "float32") -> Workload:
        """Return the workload of a session on the case."""
        return workload(case, optimizer, self.backend.devices()[-1], self.mode, precision)

    def session(self, case: Case, optimizer: Optimizer) -> Session:
        """Create a session on the case in float32."""
        return self.backend.session(self.workload(case, optimizer))


def in_first_mode(contender: BackendMode) -> None:
    """Skip the test unless the contender is in the first mode of its backend.

    Raises:
        pytest.skip.Exception: the contender is in another mode.
    """
    if not contender.is_in_first_mode:
        pytest.skip(f"checked in mode {contender.recipe.modes[0]}")


def contender_of(name: str, mode: str) -> BackendMode:
    """Return a backend in a mode, and import its framework at the first call.

    Args:
        name: name of the backend.
        mode: one of its modes.
    """
    return BackendMode(recipes()[name], _backend(name), mode)


@cache
def _backend(name: str) -> Backend:
    recipe = recipes()[name]
    os.environ.update(recipe.environment)
    module, adapter = recipe.adapter.split(":")
    backend: Backend = getattr(importlib.import_module(module), adapter)(THREADS)
    return backend
