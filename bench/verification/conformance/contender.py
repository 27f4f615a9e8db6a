"""The contenders of the conformance tests: each backend in each of its modes."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple, Optional

import pytest

from backends.api import Backend, Recipe, Session, Workload
from backends.registry import recipes
from bench.spec.layers import Layer
from bench.spec.shapes import Shape
from bench.spec.training import Optimizer
from bench.verification.case import Case
from bench.verification.certificate import Check
from bench.verification.certify import Subject, certify
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
        references: folder of the reference's results, which all contenders share; None for none.
    """

    recipe: Recipe
    backend: Backend
    mode: str
    references: Optional[Path] = None

    @property
    def is_in_first_mode(self) -> bool:
        """Whether the mode is the first of the recipe."""
        return self.mode == self.recipe.modes[0]

    def certify(
        self,
        layer: Layer,
        input_shape: Shape,
        optimizers: Mapping[str, Optimizer],
        precision: str = "float32",
    ) -> tuple[Check, ...]:
        """Return the checks of a certificate for one model.

        Args:
            layer: the model.
            input_shape: shape of an image.
            optimizers: the optimizers to train with, by name.
            precision: the precision.

        Raises:
            Unsupported: the backend does not support the model, the mode or the precision.
        """
        subject = Subject(self.backend, self.backend.devices()[-1], self.mode, precision)
        return certify(subject, layer, input_shape, optimizers, self.references)

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


def contender_of(name: str, mode: str, references: Optional[Path] = None) -> BackendMode:
    """Return a backend in a mode, and import its framework at the first call.

    Args:
        name: name of the backend.
        mode: one of its modes.
        references: as in `BackendMode`.
    """
    return BackendMode(recipes()[name], _backend(name), mode, references)


@cache
def _backend(name: str) -> Backend:
    recipe = recipes()[name]
    os.environ.update(recipe.environment)
    module, adapter = recipe.adapter.split(":")
    backend: Backend = getattr(importlib.import_module(module), adapter)(THREADS)
    return backend
