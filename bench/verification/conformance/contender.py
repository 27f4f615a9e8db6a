"""What the tests are given: a backend in one of its modes."""

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

# Processes of the tests share the CPUs, and threads that spin while they wait for one another
# would take them from the other process. The real command, tried apart, runs with all threads.
THREADS = 1


class Contender(NamedTuple):
    """A backend, imported, and one of its modes. Everything runs on its last device, the CPU."""

    recipe: Recipe
    backend: Backend
    mode: str

    @property
    def is_in_first_mode(self) -> bool:
        """Whether the mode is the first that the recipe names."""
        return self.mode == self.recipe.modes[0]

    def subject(self, precision: str = "float32") -> Subject:
        """The contender as a certificate is made for it."""
        return Subject(self.backend, self.backend.devices()[-1], self.mode, precision)

    def workload(self, case: Case, optimizer: Optimizer, precision: str = "float32") -> Workload:
        """What a session of the case is made from."""
        return workload(case, optimizer, self.backend.devices()[-1], self.mode, precision)

    def session(self, case: Case, optimizer: Optimizer) -> Session:
        """A session of the case in float32."""
        return self.backend.session(self.workload(case, optimizer))


def in_first_mode(contender: Contender) -> None:
    """Skip the test in every other mode.

    Raises:
        pytest.skip.Exception: it is another.
    """
    if not contender.is_in_first_mode:
        pytest.skip(f"checked in mode {contender.recipe.modes[0]}")


def contender_of(name: str, mode: str) -> Contender:
    """The backend of that name in a mode, imported when it is first asked for."""
    return Contender(recipes()[name], _imported(name), mode)


@cache
def _imported(name: str) -> Backend:
    recipe = recipes()[name]
    os.environ.update(recipe.environment)
    module, adapter = recipe.adapter.split(":")
    backend: Backend = getattr(importlib.import_module(module), adapter)(THREADS)
    return backend
