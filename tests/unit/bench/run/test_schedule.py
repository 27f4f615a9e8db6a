"""When another repeat of a ranking follows, of which jobs, and how such a run is resumed."""

import json

import msgspec
import pytest

from bench.records.manifest import TimeLimit
from bench.records.trial import Slice
from bench.run.plan import block
from bench.run.schedule import ALONE, CHANCES, MOST_REPEATS, next_step
from bench.spec.job import Job
from bench.statistics import SIGNIFICANCE
from bench.statistics.looks import level

LIMIT = TimeLimit(1000)
MARGIN = 0.05
JOBS = [Job("mlp", 64, backend, "eager", "cpu") for backend in ("numpy", "torch", "jax")]


class History:
    """Trials of some repeats and their records; each trial took one second."""

    def __init__(self, make):
        self._make = make
        self.planned, self.records = [], {}

    def add(self, *throughputs, jobs=JOBS, **changes):
        """Add a repeat, given each job's throughput or, if it failed, its outcome."""
        repeat = max((trial.repeat for trial in self.planned), default=0) + 1
        given = dict(zip(jobs, throughputs, strict=True))
        for trial in block(jobs, repeat, seed=0):
            value = given[trial.job]
            measured = not isinstance(value, str)
            self.planned.append(trial)
            made = self._make.trial(
                outcome="ok" if measured else value,
                throughput_images_per_second=value if measured else None,
                wall_seconds=1.0,
            )
            self.records[trial.name] = msgspec.structs.replace(
                made, **{"trial": trial.name, "job": trial.job, "slices": [], **changes}
            )
        return self

    def step(self, limit=LIMIT):
        return next_step(limit, MARGIN, self.planned, self.records)


@pytest.fixture
def history(make):
    return History(make)


def test_one_repeat_decides_nothing(history):
    assert set(history.add(100, 200, 400).step().jobs) == set(JOBS)


def test_a_ranking_ends_when_every_pair_is_decided(history):
    step = history.add(100, 200, 400).add(101, 202, 404).step()
    assert step.jobs == []
    assert step.ended.reason == "every pair is decided"
    assert step.ended.significance == level(1, is_last=False)


def test_equal_contenders_are_decided(history):
    for noise in (1, 1.001, 0.999, 1):
        history.add(100, 100 * noise, 400)
    assert history.step().ended.reason == "every pair is decided"


def test_only_contenders_of_undecided_pairs_have_another_repeat(history):
    for noise in (1, 1.3, 0.8, 1.2, 0.9):
        history.add(100, 101 * noise, 4000)
    assert set(history.step().jobs) == set(JOBS[:2])


def test_drift_between_repeats_does_not_delay_a_decision(history):
    for drift in (1, 2, 4):
        history.add(100 * drift, 200 * drift, 400 * drift)
    assert history.step().jobs == []


def test_no_repeat_starts_that_would_exceed_the_time(history):
    history.add(100, 200, 400)
    assert set(history.step(TimeLimit(6)).jobs) == set(JOBS)
    step = history.step(TimeLimit(5.9))
    assert step.jobs == []
    assert step.ended.reason.startswith("the time is over")
    assert step.ended.significance == SIGNIFICANCE


def test_the_last_look_has_the_error_rate_that_earlier_ones_left(history):
    for noise in (1, 1.3, 0.8):
        history.add(100, 101 * noise, 4000)
    ended = history.step(TimeLimit(9)).ended
    assert ended.significance == level(2, is_last=True) < SIGNIFICANCE


def test_the_epochs_for_the_accuracy_do_not_count_towards_the_time(history):
    slices = [Slice("train", 1, 0.0, 100, 2.0)]
    changes = {"slices": slices, "train_seconds": 7.0, "evaluate_seconds": 1.0}
    history.add(100, 200, 400, wall_seconds=10.0, compile_seconds=1.0, **changes)
    # Of 10 s, 6 are for the accuracy; the next trial does not compile, which took 1 s.
    assert set(history.step(TimeLimit(3 * 4 + 3 * 3)).jobs) == set(JOBS)
    assert history.step(TimeLimit(3 * 4 + 3 * 3 - 0.1)).jobs == []


def test_a_contender_that_never_succeeds_is_dropped_after_its_chances(history):
    for _ in range(CHANCES - 1):
        history.add(100, "timeout", 101)
        assert set(history.step().jobs) == set(JOBS)
    history.add(130, "timeout", 101)
    assert set(history.step().jobs) == {JOBS[0], JOBS[2]}


def test_a_pair_with_a_contender_that_failed_is_not_called_decided(history):
    history.add(100, 101, 4000)
    for noise in (1, 1.01, 0.99):
        history.add(100 * noise, "crashed", 4000 * noise)
    assert history.step().ended.reason == "only pairs with a contender that failed are undecided"


def test_a_ranking_ends_when_no_contender_could_be_measured(history):
    for _ in range(CHANCES):
        history.add("crashed", "timeout", "failed")
    assert history.step().ended.reason == "no contender could be measured"


def test_a_single_contender_has_a_fixed_number_of_repeats(history):
    for _ in range(ALONE - 1):
        history.add(100, jobs=JOBS[:1])
        assert history.step().jobs == JOBS[:1]
    assert history.add(100, jobs=JOBS[:1]).step().ended.reason == "there is no pair to decide"


def test_a_contender_with_a_failed_certificate_is_not_compared(history):
    for noise in (1, 2, 0.5):
        history.add(100, 200 * noise, jobs=JOBS[:2], equivalence="failed")
    assert history.step().ended.reason == "there is no pair to decide"


def test_the_number_of_repeats_is_bounded(history):
    for repeat in range(MOST_REPEATS):
        assert repeat < 2 or history.step().jobs
        history.add(100, 100 * (2 if repeat % 2 else 0.5), jobs=JOBS[:2])
    assert history.step().jobs == []


# Whole runs


@pytest.fixture
def arguments(tiny, tmp_path, scripted):
    chosen = ["--backends", "fake", "--modes", "works,raises"]
    return [*tiny, *chosen, "--no-verify", "--output", str(tmp_path / "out")]


def trials(folder):
    return [json.loads(line) for line in (folder / "trials.jsonl").read_text().splitlines()]


def manifest(folder):
    return json.loads((folder / "manifest.json").read_text())


def test_a_run_ends_when_there_is_nothing_to_decide_and_reports_why(bench, arguments, tmp_path):
    done = bench("run", *arguments)
    assert done.returncode == 1
    assert "there is no pair to decide" in done.stderr
    stored = manifest(tmp_path / "out")
    first = stored["plan"][0]
    assert stored["time_limit"]["seconds"] == 300
    assert [each["reason"] for each in stored["time_limit"]["ended"].values()] == [
        "there is no pair to decide"
    ]
    assert next(iter(stored["time_limit"]["ended"])).startswith(first["job"]["model"])
    assert stored["repeats"] == ALONE
    made = trials(tmp_path / "out")
    planned = {(each["job"]["mode"], each["repeat"]) for each in stored["plan"]}
    assert {(each["job"]["mode"], each["repeat"]) for each in made} == planned
    outcomes = [trial["outcome"] for trial in made]
    assert (outcomes.count("failed"), outcomes.count("ok")) == (CHANCES, ALONE)
    assert f"[{len(made)}/{len(made)}]" in done.stderr


def test_a_resumed_run_adds_the_remaining_repeats(bench, arguments, tmp_path):
    out = tmp_path / "out"
    done = bench("run", *arguments, "--time", "0.0001s")
    assert "the time is over" in done.stderr
    stored = manifest(out)
    stored["time_limit"] = {"seconds": 300, "ended": {}}
    (out / "manifest.json").write_text(json.dumps(stored))
    (out / "trials.jsonl").write_text("")
    done = bench("run", "--resume", str(out))
    assert done.returncode == 1
    repeats = [trial["repeat"] for trial in trials(out) if trial["outcome"] == "ok"]
    assert repeats == [*range(1, ALONE + 1)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--repeats", "many"], "expected a whole number of 1 or more"),
        (["--repeats", "0"], "expected a whole number of 1 or more"),
        (["--margin", "2"], "expected a percentage above 0% like 2%"),
        (["--margin", "0%"], "expected a percentage above 0% like 2%"),
        (["--time", "1h", "--repeats", "2"], "--time cannot be combined with --repeats"),
    ],
)
def test_invalid_options_are_rejected(bench, tiny, options, message):
    done = bench("run", *tiny, *options)
    assert done.returncode == 2
    assert message in " ".join(done.stderr.split())
