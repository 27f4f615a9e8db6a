"""Run each test for every backend that --evenbench names, in each of its modes."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from backends.api import Unsupported
from backends.registry import recipes
from bench.verification.conformance.contender import BackendMode, contender_of
from bench.verification.conformance.pytest_plugin import MUST_HAVE, OPTION


def pytest_generate_tests(metafunc: Any) -> None:
    """Parametrize the tests that request a contender."""
    if "contender" in metafunc.fixturenames:
        known = recipes()
        named = [name for name in _named(metafunc.config) if name in known]
        pairs = [(name, mode) for name in named for mode in known[name].modes]
        ids = ["-".join(pair) for pair in pairs]
        metafunc.parametrize("contender", pairs, indirect=True, ids=ids)


def pytest_collection_modifyitems(config: Any) -> None:
    """Refuse unknown backends.

    An error during collection would be reported as an error of the test file, so this check follows
    the collection.
    """
    names = _named(config)
    if not names or any(name not in recipes() for name in names):
        raise pytest.UsageError(
            f"received {OPTION} {','.join(names) or 'without a name'}, expected one or more of "
            f"{', '.join(recipes())}"
        )


def _named(config: Any) -> list[str]:
    return [name for name in str(config.getoption(OPTION)).split(",") if name]


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: Any) -> Generator[None, Any, Any]:
    """Skip a test if the backend does not support it, unless every backend must."""
    try:
        return (yield)
    except Unsupported as error:
        if pyfuncitem.get_closest_marker(MUST_HAVE):
            raise
        pytest.skip(f"unsupported: {error}")


@pytest.fixture(scope="session")
def references(tmp_path_factory: Any) -> Path:
    """Return the folder of the reference's results, which are computed once for all contenders.

    The processes of pytest-xdist share it.
    """
    own: Path = tmp_path_factory.getbasetemp()
    return (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "references"


@pytest.fixture
def contender(request: Any, references: Path) -> BackendMode:
    """Return the backend in one of its modes."""
    name, mode = request.param
    return contender_of(name, mode, references)
