"""Contenders over many runs: series of comparable runs, and changes of their level."""

import numpy as np
import pytest

from bench.statistics.changes import change_points
from reports.analysis.runs import read_sources
from reports.documents.history import series_of
from reports.metrics import THROUGHPUT


@pytest.fixture
def runs(make, tmp_path):
    """Eight runs of two contenders: torch loses a fifth at the fifth run, jax only has noise."""
    random = np.random.default_rng(0)
    folders = []
    for day in range(1, 9):
        level = 100_000.0 if day < 5 else 80_000.0
        values = level * random.normal(1, 0.01, 3), 200_000.0 * random.normal(1, 0.01, 3)
        trials = [
            *make.repeated("torch", "eager", list(map(float, values[0]))),
            *make.repeated("jax", "jit", list(map(float, values[1]))),
        ]
        started = f"2026-01-{day:02}T00:00:00+00:00"
        folders.append(make.store(tmp_path / f"day{day}", trials, started_at=started))
    return folders


def test_a_planted_step_is_detected_and_noise_is_not(runs):
    series = {s.label: s for s in series_of(read_sources(runs[::-1]), THROUGHPUT)}
    (change,) = series["torch eager"].changes
    assert change.run == "day5"
    assert change.ratio == pytest.approx(0.8, abs=0.02)
    assert series["jax jit"].changes == ()
    assert [point.run for point in series["jax jit"].points] == [f"day{n}" for n in range(1, 9)]


def test_runs_that_are_not_comparable_are_in_separate_series(make, tmp_path):
    folders = [
        make.store(tmp_path / "a", [make.trial()]),
        make.store(tmp_path / "b", [make.trial(threads=1)]),
    ]
    assert [len(s.points) for s in series_of(read_sources(folders), THROUGHPUT)] == [1, 1]


def test_noise_is_rarely_reported_as_a_change():
    random = np.random.default_rng(1)
    found = [bool(change_points(list(np.exp(random.normal(0, 0.02, 30))))) for _ in range(200)]
    assert np.mean(found) < 0.05


def test_few_values_or_equal_values_have_no_change():
    assert change_points([1.0, 1.0, 5.0, 5.0]) == []
    assert change_points([3.0] * 20) == []
    assert change_points([3.0] * 10 + [6.0] * 10 + [3.0] * 10) == [10, 20]


def test_the_command_shows_the_change_and_writes_a_page(runs, bench, tmp_path):
    done = bench("history", *map(str, runs), "--output", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    assert "times from day5 on" in done.stdout
    page = (tmp_path / "out" / "history.html").read_text()
    assert 'data-chart="history-0"' in page
