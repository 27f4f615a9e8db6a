"""Quantities that only some trials of a contender know: warm starts, epochs that were left out."""

import json
import math

import pytest
from support.records import ranked

from reports.analysis.rankings import rankings_of
from reports.analysis.runs import read_sources
from reports.document import Table, numbers
from reports.documents.run_report import Edition
from reports.exports.data import contenders_csv, json_text
from reports.exports.registry import FORMATS, made
from reports.metrics import ACCURACY, COMPILE, METRICS, PREDICTION, THROUGHPUT, TRAIN
from reports.sections.cells import fewer, spread

RATES = (1000, 1020, 980, 1000)


@pytest.fixture
def trials(make):
    """Two contenders with three repeats each, of which the first one only is cold and whole."""
    return [
        make.in_rounds(
            backend,
            mode,
            repeat,
            [share * rate for rate in RATES],
            **({"inference": make.INFERENCE} if repeat == 1 else make.WARM),
        )
        for backend, mode, share in (("torch", "eager", 1), ("jax", "jit", 2))
        for repeat in (1, 2, 3)
    ]


def test_medians_are_over_the_known_values(trials):
    (ranking,) = ranked(trials)
    for contender in ranking.contenders:
        assert contender.is_comparable
        assert [contender.known(m) for m in (COMPILE, ACCURACY, PREDICTION)] == [1, 1, 1]
        assert contender[COMPILE].value == 0.0625
        assert contender[ACCURACY].value == 0.975
        assert contender[TRAIN].value == 1.0, "the others trained fewer epochs"
        assert contender.known(TRAIN) == 1
        assert contender.curve.accuracies == pytest.approx((0.93, 0.96, 0.975))
        assert contender.repeats == 3


def test_a_single_known_value_has_no_range(trials):
    (ranking,) = ranked(trials)
    assert spread(ranking.contenders[0], ACCURACY) == ("97.50", "–")  # noqa: RUF001


def test_tables_say_how_many_trials_know_a_quantity(make, trials, tmp_path):
    report = Edition(read_sources([make.store(tmp_path / "run", trials)])).report
    notes = {section.anchor: [part.note for part in section.parts] for section in report.sections}
    assert notes["ranking"] == [
        "Known in 1 of 3 trials: test accuracy, final loss, compile and latency p50."
    ]
    assert notes["memory"] == [""]
    assert "compile, train, evaluate and to first step" in notes["phases"][0]


def test_contenders_that_know_a_quantity_in_other_numbers_of_trials_are_reported(make, trials):
    table = Table("", numbers(ACCURACY.heading, THROUGHPUT.heading), ())
    more = make.repeated("numpy", "eager", [500.0, 510.0])
    (ranking,) = ranked([*trials, *more])
    assert fewer(ranking, table) == "Known in 1 of 3 trials of some contenders: test accuracy."
    more.append(make.in_rounds("numpy", "eager", 3, RATES, **make.WARM))
    (ranking,) = ranked([*trials, *more])
    assert fewer(ranking, table) == "Known in 1–2 of 3 trials: test accuracy."  # noqa: RUF001


def test_no_format_fails_or_contains_nan(make, trials, tmp_path):
    edition = Edition(read_sources([make.store(tmp_path / "run", trials)]))
    for name in set(FORMATS) - {"parquet"}:
        assert made(edition, name)

    def refuse(constant):
        raise AssertionError(constant)

    found = json.loads(json_text(edition), parse_constant=refuse)
    for contender in found["rankings"][0]["contenders"]:
        assert contender["known"]["compile_seconds"] == 1
        assert "throughput_images_per_second" not in contender["known"]
        assert contender["values"]["compile_seconds"] == [0.0625] * 3
    assert "nan" not in contenders_csv(edition.rankings).lower()


def test_a_quantity_that_no_trial_knows_is_left_out(make, tmp_path):
    warm = [make.in_rounds("torch", "eager", n, RATES, **make.WARM) for n in (1, 2)]
    edition = Edition(read_sources([make.store(tmp_path / "run", warm)]))
    (ranking,) = rankings_of(edition.sources)
    (contender,) = ranking.contenders
    unknown = [m.key for m in METRICS if math.isnan(contender[m].value)]
    assert {"compile_seconds", "test_accuracy", "train_seconds"} <= set(unknown)
    for name in ("html", "markdown", "json", "figures"):
        assert made(edition, name)
