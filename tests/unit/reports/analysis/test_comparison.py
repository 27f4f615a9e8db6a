"""Comparison of two runs, and decisions by weights, with verdicts computed by hand."""

import json
import math

import msgspec
import pytest
from support.records import ranked

from bench.errors import ChoiceError
from reports.analysis.comparison import compare
from reports.analysis.runs import read_sources
from reports.analysis.trade_offs import front
from reports.analysis.weighing import Limit, decide, parse_limits, parse_weights
from reports.documents.comparison import FAILED, NOTHING, PASSED, REGRESSION, gate_of
from reports.metrics import COMPILE, FIRST_STEP, PEAK_MEMORY, THROUGHPUT, metric_named

BASE = (100_000.0, 101_000.0, 99_000.0, 100_500.0)


def scaled(make, backend, mode, factor, **changes):
    return make.repeated(backend, mode, [factor * value for value in BASE], **changes)


@pytest.fixture
def two(make, tmp_path):
    """Store an old run of three contenders, and a new one of the given records."""

    def write(records, **changes):
        base = [
            *scaled(make, "torch", "eager", 1.0),
            *scaled(make, "jax", "jit", 2.0),
            *scaled(make, "numpy", "eager", 0.5),
        ]
        old = make.store(tmp_path / "old", base)
        return old, make.store(tmp_path / "new", records, **changes)

    return write


def unchanged(make):
    """Return a rerun with the same speeds within their noise."""
    return [
        *scaled(make, "torch", "eager", 1.003),
        *scaled(make, "jax", "jit", 1.99),
        *scaled(make, "numpy", "eager", 0.5),
    ]


def verdicts(folders, metrics=(THROUGHPUT,), fail_on=0.05):
    (old,), (new,) = (read_sources([folder]) for folder in folders)
    return {one.contender: one for one in compare(old, new, metrics, fail_on)}


def test_a_rerun_without_changes_passes(make, two):
    folders = two(unchanged(make))
    assert {one.verdict for one in verdicts(folders).values()} == {"no measurable difference"}
    gate = gate_of(*folders, [THROUGHPUT], 0.05)
    assert (gate.status, gate.differences, gate.same_machine) == (PASSED, (), True)


def test_a_planted_regression_of_one_backend_is_detected(make, two):
    folders = two([*scaled(make, "torch", "eager", 0.9), *unchanged(make)[4:]])
    found = verdicts(folders)["torch eager"]
    assert (found.verdict, found.is_regression) == ("worse", True)
    assert found.ratio.estimate == pytest.approx(0.9)
    assert found.ratio.low < 0.9 < found.ratio.high < 1
    assert gate_of(*folders, [THROUGHPUT], 0.05).status == REGRESSION
    assert gate_of(*folders, [THROUGHPUT], 0.15).status == PASSED


def test_faster_is_better_and_more_memory_is_worse(make, two):
    folders = two(
        [
            *scaled(make, "torch", "eager", 1.2, peak_memory_bytes=310 * 2**20),
            *unchanged(make)[4:],
        ]
    )
    assert verdicts(folders)["torch eager"].verdict == "better"
    memory = verdicts(folders, [PEAK_MEMORY], 0.02)["torch eager"]
    assert (memory.verdict, memory.is_regression) == ("worse", True)


def test_contenders_that_cannot_be_compared_are_listed(make, two):
    folders = two(
        [
            make.failed("torch", "eager", "crashed", "out of luck"),
            *scaled(make, "jax", "scan", 2.0),
            *scaled(make, "numpy", "eager", 0.5, equivalence="failed"),
        ]
    )
    found = {name: (one.verdict, one.reason) for name, one in verdicts(folders).items()}
    assert found == {
        "torch eager": ("newly failing", "crashed: out of luck"),
        "jax jit": ("missing", "the new run contains no such trial"),
        "numpy eager": ("not comparable", "its certificate of equal work failed"),
        "jax scan": ("new", "the old run contains no such trial"),
    }
    assert gate_of(*folders, [THROUGHPUT], 0.05).status == FAILED


def test_single_trials_cannot_be_compared(make, two):
    folders = two([trials[0] for trials in (unchanged(make)[i : i + 4] for i in (0, 4, 8))])
    assert {one.verdict for one in verdicts(folders).values()} == {"too few trials"}
    assert gate_of(*folders, [THROUGHPUT], 0.05).status == NOTHING


def test_different_specs_are_not_compared_and_different_machines_are_reported(make, two):
    machine = msgspec.structs.replace(make.MACHINE, cpu_model="another")
    models = {"mlp": msgspec.structs.replace(make.MANIFEST.models["mlp"], num_parameters=1)}
    optimizer = msgspec.structs.replace(make.MANIFEST.optimizer, learning_rate=0.02)
    folders = two(unchanged(make), machine=machine, models=models, optimizer=optimizer)
    assert {one.verdict for one in verdicts(folders).values()} == {"not comparable"}
    gate = gate_of(*folders, [THROUGHPUT], 0.05)
    assert not gate.same_machine
    assert ("machine: cpu model", "AMD EPYC 7763", "another") in gate.differences
    assert "optimizer" in {what for what, _, _ in gate.differences}


@pytest.mark.parametrize("form", ["table", "markdown", "json"])
def test_the_command_reports_the_verdict_in_every_format(make, two, bench, form):
    folders = two([*scaled(make, "torch", "eager", 0.8), *unchanged(make)[4:]])
    done = bench("compare", *map(str, folders), "--format", form)
    assert done.returncode == 1
    assert "torch eager" in done.stdout
    assert "regression" in done.stdout
    if form == "json":
        assert json.loads(done.stdout)["compared"][0]["ratio"] == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--fail-on", "5"], "is not a percentage below 100% like 5%"),
        (["--metric", "speed"], "unknown metric 'speed'"),
        (["--metric", "data_seconds"], "of which more or less is better"),
    ],
)
def test_an_invalid_comparison_is_reported_in_one_message(two, bench, options, says):
    done = bench("compare", *map(str, two([])), *options)
    assert done.returncode == 2
    assert says in " ".join(done.stderr.split())


# Decisions


@pytest.fixture
def three(make):
    """Throughput 4, 2, 1; memory 4, 2, 1: fast takes memory."""
    records = [
        make.trial("a", "m", throughput_images_per_second=400.0, peak_memory_bytes=400),
        make.trial("b", "m", throughput_images_per_second=200.0, peak_memory_bytes=150),
        make.trial("c", "m", throughput_images_per_second=100.0, peak_memory_bytes=100),
        make.trial("d", "m", throughput_images_per_second=100.0, peak_memory_bytes=200),
        make.trial("e", "m", equivalence="failed"),
    ]
    return ranked(records)[0].measured


def test_the_score_is_the_weighted_geometric_mean_of_the_ratios_to_the_best(three):
    made = decide(three, {THROUGHPUT: 2.0, PEAK_MEMORY: 1.0})
    scores = {contender.label: score for contender, score in made.ranked}
    assert scores["a m"] == pytest.approx((1.0**2 * (100 / 400)) ** (1 / 3))
    assert scores["b m"] == pytest.approx((0.5**2 * (100 / 150)) ** (1 / 3))
    assert [contender.label for contender, _ in made.excluded] == ["e m"]


def test_the_winner_changes_at_the_limit_of_a_weight(three):
    room = {r.metric: r for r in decide(three, {THROUGHPUT: 2.0, PEAK_MEMORY: 1.0}).room}
    assert room[THROUGHPUT].below == "b m"
    for metric in (THROUGHPUT, PEAK_MEMORY):
        for turn, rival in (
            (room[metric].lowest, room[metric].below),
            (room[metric].highest, room[metric].above),
        ):
            if not rival:
                continue
            winners = [
                decide(three, {THROUGHPUT: 2.0, PEAK_MEMORY: 1.0} | {metric: turn * nudge})
                .ranked[0][0]
                .label
                for nudge in (0.999, 1.001)
            ]
            assert set(winners) == {"a m", rival}


def test_a_limit_excludes_with_its_reason(three):
    made = decide(three, {THROUGHPUT: 1.0}, [Limit(PEAK_MEMORY, False, 160)])
    assert [contender.label for contender, _ in made.ranked] == ["b m", "c m"]
    assert {c.label: why for c, why in made.excluded}["a m"].startswith("not peak memory at most")


def test_an_unknown_value_cannot_be_scored(make):
    contenders = ranked([make.trial(compile_seconds=None)])[0].measured
    assert decide(contenders, {COMPILE: 1.0}).excluded[0][1] == "compile is not known"


def test_no_contender_beats_one_on_the_front_in_both_metrics(three):
    assert [c.label for c in front(three, THROUGHPUT, PEAK_MEMORY)] == ["a m", "b m", "c m"]


def test_weights_and_limits_are_parsed():
    assert parse_weights("throughput=3, memory=1") == {THROUGHPUT: 3.0, PEAK_MEMORY: 1.0}
    (share, memory, time) = parse_limits(["test_accuracy>=97%", "memory <= 1GiB", "compile<=50ms"])
    assert (share.at_least, share.value) == (True, 0.97)
    assert (memory.at_least, memory.value) == (False, 2.0**30)
    assert math.isclose(time.value, 0.05)
    assert metric_named("first_step") is FIRST_STEP


@pytest.mark.parametrize(
    "text", ["throughput", "throughput=x", "throughput=-1", "a=1", "data=1", ""]
)
def test_invalid_weights_are_rejected(text):
    with pytest.raises(ChoiceError):
        parse_weights(text)


@pytest.mark.parametrize("text", ["memory<1", "memory<=1Gb", "memory<=", "<=1", "nothing>=1"])
def test_invalid_limits_are_rejected(text):
    with pytest.raises(ChoiceError):
        parse_limits([text])


def test_the_command_decides_and_reports_when_no_contender_is_left(make, bench, tmp_path):
    folder = str(make.store(tmp_path / "run", make.TRIALS))
    done = bench("decide", folder, "--weights", "throughput=3,first_step=1")
    assert done.returncode == 0
    assert "jax scan wins with these weights" in done.stdout
    done = bench("decide", folder, "--require", "accuracy>=99%", "--json")
    assert done.returncode == 3
    (made,) = json.loads(done.stdout)
    assert made["ranked"] == []
    assert "test accuracy at least 99.00 %" in made["excluded"]["jax scan"]
