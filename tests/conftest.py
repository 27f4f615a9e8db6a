"""Fixtures of all suites: the command line, the fake backend, a tiny data set, a cache folder."""

import signal
from pathlib import Path

import pytest
from support import isolation
from support.command_line import CommandLine
from support.idx_files import write_tiny
from support.places import TESTS
from support.plugin import install_plugin

# A shell that starts the tests in the background makes them, and their children, ignore Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)


UNIT_TESTS = TESTS / "unit"


def pytest_collection_modifyitems(items):
    """Mark the tests of every suite but the unit suite: they start processes or use a framework."""
    for item in items:
        if not item.path.is_relative_to(UNIT_TESTS):
            item.add_marker(isolation.MARKER)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item, nextitem):
    """Forbid processes in a test without the marker, and in its fixtures."""
    if item.get_closest_marker(isolation.MARKER):
        return (yield)
    with isolation.no_processes(item.nodeid):
        return (yield)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    """Cache decoded data and certificates in a folder that all tests of a session share."""
    monkeypatch.setenv("EVENBENCH_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture
def plugin(monkeypatch):
    """Install the fake backend for this test and the processes that it starts."""
    install_plugin(monkeypatch)


@pytest.fixture
def tiny_data(tmp_path) -> Path:
    """Write a data set of 6 x 5 images in three classes, 64 for training and 20 for testing."""
    return write_tiny(tmp_path / "tiny")


@pytest.fixture
def bench(tmp_path, plugin) -> CommandLine:
    """Return the command line in the folder of the test; see `support.command_line`."""
    return CommandLine(tmp_path)


TINY_MODEL = """
from bench.spec.layers import Dense, Flatten, sequential

def tiny(classes):
    return sequential(Flatten(), Dense(classes))

def wide():
    return sequential(Flatten(), Dense(1000))

def deep(classes):
    return sequential(Dense(classes))

def broken():
    raise OSError("no such luck")
"""


@pytest.fixture
def tiny(tmp_path, tiny_data, plugin) -> list[str]:
    """The options of a run that takes a second."""
    (tmp_path / "models.py").write_text(TINY_MODEL)
    model = f"{tmp_path / 'models.py'}:tiny"
    data = ["--data-dir", str(tiny_data), "--models", model, "--batch-sizes", "16"]
    return [*data, "--epochs", "1"]
