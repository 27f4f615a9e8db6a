"""Each test once for every backend that is named, in each of its modes."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

from backends.api import Unsupported
from backends.registry import recipes
from bench.conformance.contender import Contender, contender_of
from bench.conformance.pytest_plugin import MUST_HAVE, OPTION


def pytest_generate_tests(metafunc: Any) -> None:
    """Give each test that asks for a contender every one of them."""
    if "contender" in metafunc.fixturenames:
        named = _named(metafunc.config)
        pairs = [(name, mode) for name in named for mode in recipes()[name].modes]
        ids = ["-".join(pair) for pair in pairs]
        metafunc.parametrize("contender", pairs, indirect=True, ids=ids)


def _named(config: Any) -> list[str]:
    names = [name for name in str(config.getoption(OPTION)).split(",") if name]
    unknown = [name for name in names if name not in recipes()]
    if unknown or not names:
        known = ", ".join(recipes())
        raise pytest.UsageError(
            f"received {OPTION} {','.join(names) or 'without a name'}, expected some of {known}"
        )
    return names


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: Any) -> Generator[None, Any, Any]:
    """What a backend says that it lacks is a reason to skip: no backend must have everything."""
    try:
        return (yield)
    except Unsupported as error:
        if pyfuncitem.get_closest_marker(MUST_HAVE):
            raise
        pytest.skip(f"unsupported: {error}")


@pytest.fixture
def contender(request: Any) -> Contender:
    """The backend in a mode."""
    return contender_of(*request.param)
