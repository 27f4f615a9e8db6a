"""Records made by hand, and a cache of the test's own."""

from pathlib import Path

import pytest
from support import records

from bench.data.prepare import CACHE_VARIABLE


@pytest.fixture(scope="session")
def make():
    """What makes records and run folders; `TRIALS` holds a run's worth."""
    return records


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """A cache of the test's own, empty."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"
