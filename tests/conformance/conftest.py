"""What the conformance tests share: each backend, imported once in a process."""

import importlib
import os

import pytest

from backends.registry import recipes

# Processes of the tests share the CPUs, and threads that spin while they wait for one another
# would take them from the other process. The real command, tried apart, runs with all threads.
THREADS = 1


@pytest.fixture(scope="session")
def backends():
    """A backend by its name, imported when it is first asked for."""
    made = {}

    def get(name):
        if name not in made:
            recipe = recipes()[name]
            os.environ.update(recipe.environment)
            module, adapter = recipe.adapter.split(":")
            made[name] = getattr(importlib.import_module(module), adapter)(THREADS)
        return made[name]

    return get
