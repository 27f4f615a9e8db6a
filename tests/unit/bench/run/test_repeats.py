"""When `--repeats auto` adds another block, and how such a run is resumed."""

import json
from itertools import combinations

import msgspec
import pytest

from bench.records.manifest import AutoRepeats
from bench.run.plan import block
from bench.run.repeats import CHANCES, FEWEST, IN_TURN, decide
from bench.spec.job import Job
from bench.statistics.ratios import paired_ratio

RULE = AutoRepeats(interval=0.02, max_seconds=1000)
JOBS = [Job("mlp", 64, backend, "eager", "cpu") for backend in ("numpy", "torch", "jax")]


class History:
    """Trials of some blocks and their records; each trial took one second."""

    def __init__(self, make):
        self._make = make
        self.planned, self.records = [], {}

    def add(self, *throughputs, jobs=JOBS, **changes):
        """Add a block, given each job's throughput or, if it failed, its outcome."""
        repeat = max((trial.repeat for trial in self.planned), default=0) + 1
        given = dict(zip(jobs, throughputs, strict=True))
        for trial in block(jobs, repeat, seed=0):
            value = given[trial.job]
            measured = not isinstance(value, str)
            self.planned.append(trial)
            self.records[trial.name] = self._make.trial(
                outcome="ok" if measured else value,
                throughput_images_per_second=value if measured else None,
                wall_seconds=1.0,
                **changes,
            )
        return self

    def decide(self, rule=RULE, spent=0.0):
        return decide(rule, self.planned, self.records, spent)


@pytest.fixture
def history(make):
    return History(make)


def test_blocks_are_added_until_all_ratios_are_known_in_consecutive_blocks(history):
    for repeat in range(FEWEST + IN_TURN - 2):
        decision = history.add(100 + repeat / 10, 200, 400).decide()
        assert (set(decision.jobs), decision.reason) == (set(JOBS), "")
    decision = history.add(100, 200, 400).decide()
    assert decision.jobs == []
    assert decision.reason == "each ratio was known to within 2 %"


def test_one_wide_interval_is_enough_to_add_a_block(history):
    for noise in (1, 1.1, 0.9, 1.05, 0.95, 1, 1.1, 0.9):
        history.add(100, 200, 400 * noise)
    assert set(history.decide().jobs) == set(JOBS)
    assert history.decide(msgspec.structs.replace(RULE, interval=0.2)).jobs == []


def test_an_interval_that_is_narrow_for_the_first_time_adds_a_block(history):
    for repeat in range(FEWEST + 3):
        history.add(100 + (repeat == 0), 200, 400)
    # The first block's 1 % weighs less from block to block: after the last one the interval is
    # narrower than before it, and a limit between the two was met once only.
    fewer = [trial for trial in history.planned if trial.repeat < FEWEST + 3]
    reach, before = (widest(history, planned) for planned in (history.planned, fewer))
    assert reach < before
    assert history.decide(msgspec.structs.replace(RULE, interval=(reach + before) / 2)).jobs
    assert not history.decide(msgspec.structs.replace(RULE, interval=before * 1.001)).jobs


def widest(history, planned):
    """The widest reach, from throughputs as they were given."""
    values = [
        [history.records[t.name].throughput_images_per_second for t in planned if t.job == job]
        for job in JOBS
    ]
    return max(paired_ratio(*pair).reach for pair in combinations(values, 2))


def test_drift_between_blocks_does_not_widen_ratios(history):
    for drift in (1, 2, 4, 1, 3, 5):
        history.add(100 * drift, 200 * drift, 400 * drift)
    assert history.decide().jobs == []


def test_no_block_starts_that_would_exceed_the_maximum_time(history):
    history.add(100, 200, 400)
    assert set(history.decide(spent=997.0).jobs) == set(JOBS)
    decision = history.decide(spent=997.5)
    assert decision.jobs == []
    assert "after the 1000 s allowed" in decision.reason


def test_a_contender_that_never_succeeds_is_dropped_after_its_chances(history):
    for _ in range(CHANCES - 1):
        history.add(100, "timeout", 400)
        assert set(history.decide().jobs) == set(JOBS)
    history.add(100, "timeout", 400)
    assert set(history.decide().jobs) == {JOBS[0], JOBS[2]}


def test_no_block_is_added_when_no_contender_could_be_measured(history):
    for _ in range(CHANCES):
        history.add("crashed", "timeout", "failed")
    assert history.decide().reason == "no contender could be measured"


def test_jobs_of_different_models_are_not_compared(history):
    other = [JOBS[0], msgspec.structs.replace(JOBS[1], model="cnn")]
    for noise in (1, 2, 1, 2, 1, 2):
        history.add(100, 200 * noise, jobs=other)
    assert history.decide().jobs == []


def test_a_contender_with_a_failed_certificate_adds_no_block(history):
    for noise in (1, 2, 1, 2, 1, 2):
        history.add(100, 200, 400 * noise, equivalence="failed")
    assert history.decide().jobs == []


# Whole runs


@pytest.fixture
def arguments(tiny, tmp_path, scripted):
    chosen = ["--backends", "fake", "--modes", "works,raises", "--repeats", "auto"]
    return [*tiny, *chosen, "--no-verify", "--output", str(tmp_path / "out")]


def trials(folder):
    return [json.loads(line) for line in (folder / "trials.jsonl").read_text().splitlines()]


def manifest(folder):
    return json.loads((folder / "manifest.json").read_text())


def test_a_run_stops_when_all_ratios_are_known_and_reports_why(bench, arguments, tmp_path):
    done = bench("run", *arguments)
    assert done.returncode == 1
    assert "6 repeats: each ratio was known to within 2 %" in done.stderr
    stored = manifest(tmp_path / "out")
    assert stored["auto_repeats"] == {
        "interval": 0.02,
        "max_seconds": 3600,
        "ended": "each ratio was known to within 2 %",
    }
    assert stored["repeats"] == 6
    made = trials(tmp_path / "out")
    planned = [(trial["job"], trial["seed"], trial["repeat"]) for trial in stored["plan"]]
    assert [(trial["job"], trial["seed"], trial["repeat"]) for trial in made] == planned
    # Mode "raises" had its two chances; then no other contender is left to compare "works" with.
    assert [trial["outcome"] for trial in made].count("failed") == 2
    assert [trial["outcome"] for trial in made].count("ok") == 6
    assert f"[{len(made)}/{len(made)}]" in done.stderr


def test_a_resumed_run_adds_the_remaining_blocks(bench, arguments, tmp_path):
    out = tmp_path / "out"
    done = bench("run", *arguments, "--max-time", "0.0001s")
    assert "1 repeats: another block would end after the 0.0001 s allowed" in done.stderr
    stored = manifest(out)
    stored["auto_repeats"] |= {"max_seconds": 3600, "ended": ""}
    (out / "manifest.json").write_text(json.dumps(stored))
    (out / "trials.jsonl").write_text("")
    done = bench("run", "--resume", str(out))
    assert done.returncode == 1
    assert manifest(out)["repeats"] == 6
    assert [trial["repeat"] for trial in trials(out) if trial["outcome"] == "ok"] == [*range(1, 7)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--repeats", "many"], "expected a whole number of 1 or more, or auto"),
        (["--repeats", "0"], "expected a whole number of 1 or more, or auto"),
        (["--repeats", "auto", "--interval", "2"], "expected a percentage above 0% like 2%"),
        (["--repeats", "auto", "--interval", "0%"], "expected a percentage above 0% like 2%"),
        (["--repeats", "2", "--interval", "2%"], "--interval needs --repeats auto"),
        (["--max-time", "1h"], "--max-time needs --repeats auto"),
    ],
)
def test_invalid_options_are_rejected(bench, tiny, options, message):
    done = bench("run", *tiny, *options)
    assert done.returncode == 2
    assert message in " ".join(done.stderr.split())
