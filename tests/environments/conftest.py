"""Fixtures that create real environments, once per session."""

import json
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def own_cache(shared_cache, monkeypatch):
    monkeypatch.setenv("EVENBENCH_CACHE", str(shared_cache))


@pytest.fixture
def records():
    """Return the records of a run's folder by backend."""

    def read(folder: Path) -> dict[str, dict]:
        lines = (folder / "trials.jsonl").read_text().splitlines()
        return {record["job"]["backend"]: record for record in map(json.loads, lines)}

    return read
