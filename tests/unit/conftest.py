"""Records made by hand, scripted workers, and an empty cache."""

from pathlib import Path

import pytest
from support import records
from support.scripted import ScriptedExecutor

from bench.data.prepare import CACHE_VARIABLE
from bench.machine.disturbance import Canary
from bench.run.executor import LocalExecutor


@pytest.fixture(scope="session")
def make():
    """What makes records and run folders; `TRIALS` holds a run's worth."""
    return records


@pytest.fixture
def steady_canary(monkeypatch):
    """Let the canary report the same time always: runs are faster and a busy machine disturbs none.

    The canary itself is tested in `machine/test_disturbance.py`.
    """
    monkeypatch.setattr(Canary, "work", lambda canary: 0.1)


@pytest.fixture
def scripted(monkeypatch, steady_canary) -> ScriptedExecutor:
    """Let a script answer the tasks of every run in this process: no worker starts."""
    executor = ScriptedExecutor()

    def run(local, task, launch, timeout, on_event):
        with local._waiting():  # where a signal ends the trial, as in the real executor
            return executor.run(task, launch, timeout, on_event)

    monkeypatch.setattr(LocalExecutor, "run", run)
    monkeypatch.setattr(LocalExecutor, "open", lambda local, *rest: executor.open(*rest))
    return executor


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """A cache of the test's own, empty."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"
