"""Numbers, rankings, answers and charts of a report, checked against values known by hand."""

import math
from collections import Counter

import msgspec
import pytest
from support.records import ranked, run_of

from bench.records.manifest import Ended, ModelFacts, TimeLimit
from bench.records.trial import EpochRecord, TimeToAccuracy
from bench.spec.job import Trial
from bench.spec.layers import Dense, Flatten, sequential
from bench.spec.training import Adam
from bench.statistics.ratios import independent_ratio, paired_ratio
from reports.analysis.rankings import rankings_of
from reports.analysis.runs import read_sources
from reports.analysis.trials import record_frame
from reports.analysis.verdicts import tiers_of, undecided_of
from reports.display import NOT_KNOWN, duration, fixed, listed, plain, shortened, shown, significant
from reports.documents.terminal import HEADER, NUMBERS, summary
from reports.figures import bars, curves, palette
from reports.figures.canvas import house_style
from reports.metrics import (
    FIRST_STEP,
    MEMORY_ABOVE_BASELINE,
    METRICS,
    PEAK_MEMORY,
    THROUGHPUT,
    TIME_TO_ACCURACY,
)
from reports.sections.answer import decided, facts, sentence, tiers
from reports.sections.cells import rank, relative


def only(records):
    (ranking,) = ranked(records)
    return ranking


# Numbers


@pytest.mark.parametrize(
    ("write", "value", "text"),
    [
        (fixed(2), 1234.567, "1,234.57"),
        (fixed(2), 0.004, "<0.01"),
        (fixed(2), 0.0, "0.00"),
        (fixed(2, 100), 0.97534, "97.53"),
        (significant(4), 412_345.6, "412,300"),
        (significant(4), 190.34, "190.3"),
        (significant(3), 0.01234, "0.0123"),
        (significant(3), 99.96, "100"),
        (significant(3), 0.0, "0"),
    ],
)
def test_numbers_are_formatted_with_their_significant_digits(write, value, text):
    assert write(value) == text


def test_an_unknown_value_is_shown_as_a_dash():
    assert [shown(value, fixed(2)) for value in (None, math.nan, -math.inf)] == ["–"] * 3  # noqa: RUF001
    assert shown(math.inf, fixed(2)) == "not reached", "as the time to an accuracy is"


def test_text_is_reduced_to_one_printable_line():
    assert plain(" a\n\x1b[31m b\u202e ") == "a [31m b"
    assert shortened("abcdef", 4) == "abc…"
    assert listed(["a", "b", "c"]) == "a, b and c"


def test_a_derived_metric_is_unknown_if_an_input_is_unknown(make):
    changes = ({}, {"build_seconds": None}, {"baseline_memory_bytes": None})
    trials = record_frame([make.trial(**each) for each in changes])
    assert FIRST_STEP.of(trials).fillna(-1).tolist() == [1.9375, -1, 1.9375]
    assert MEMORY_ABOVE_BASELINE.of(trials).fillna(-1).tolist() == [200 * 2**20] * 2 + [-1]


def test_every_metric_has_a_unique_key():
    assert max(Counter(metric.key for metric in METRICS).values()) == 1


# Rankings


def test_a_contender_has_the_median_and_range_of_its_successful_trials(make):
    best, second, third = only(make.TRIALS).contenders
    assert (best.label, second.label, third.label) == ("jax scan", "torch eager", "numpy default")
    spread = best[THROUGHPUT]
    # The estimates are of the repeats that contenders share.
    estimates = (190_000 * 200_000) ** 0.5, (90_000 * 110_000) ** 0.5
    assert (best[THROUGHPUT].value, second[THROUGHPUT].value) == pytest.approx(estimates)
    assert (spread.minimum, spread.maximum) == (190_000, 230_000)
    assert best[PEAK_MEMORY].value == 300 * 2**20
    assert [(c.repeats, c.attempted) for c in (best, second, third)] == [(3, 3), (2, 3), (1, 1)]
    assert [c.blocks for c in (second, third)] == [{1: 90_000, 2: 110_000}, {1: 50_000}]


def test_curves_are_medians_over_cumulative_seconds(make):
    slow = [
        EpochRecord(2 * e.seconds, 0.1, e.test_accuracy - 0.01, 59_968, 0.1)
        for e in make.trial().per_epoch
    ]
    (contender,) = only([make.trial(), make.trial(repeat=2, per_epoch=slow)]).contenders
    assert contender.curve.seconds == pytest.approx((0.75, 1.125, 1.5))
    assert contender.curve.accuracies == pytest.approx((0.925, 0.955, 0.97))
    assert contender.trial_curves[1].seconds == pytest.approx((1.0, 1.5, 2.0))


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("batch_size", 128, "batch size 128"),
        ("precision", "float64", "float64"),
        ("threads", 1, "1 thread"),
        ("epochs", 1, "1 epoch"),
        ("train_samples", 1000, "1,000 examples"),
        ("dataset", "kmnist", "kmnist"),
        ("machine", "elsewhere", "machine elsewhere"),
        ("device", "gpu:0", "mlp on gpu:0"),
        ("model", "cnn", "cnn on cpu"),
    ],
)
def test_trials_with_different_settings_are_ranked_separately(make, field, value, words):
    rankings = ranked([make.trial(), make.trial("jax", "jit", **{field: value})])
    assert [len(ranking.contenders) for ranking in rankings] == [1, 1]
    assert [words in ranking.title for ranking in rankings].count(True) == 1


OTHER = {
    "optimizer": lambda make: Adam(),
    "models": lambda make: {"mlp": ModelFacts(sequential(Flatten(), Dense(11)), 1, 1)},
    "machine": lambda make: msgspec.structs.replace(make.MACHINE, cpu_model="another"),
}


@pytest.mark.parametrize("name", OTHER)
def test_runs_that_differ_in_spec_or_machine_are_ranked_separately(make, tmp_path, name):
    changes = {name: OTHER[name](make)}
    folders = [
        make.store(tmp_path / "a", [make.trial()]),
        make.store(tmp_path / "b", [make.trial()], **changes),
    ]
    titles = [ranking.title for ranking in rankings_of(read_sources(folders))]
    assert len(set(titles)) == 2


def test_runs_of_one_machine_are_ranked_together_by_run_and_version(make, tmp_path):
    first = make.store(tmp_path / "a", [make.trial()])
    second = make.store(
        tmp_path / "b", [make.trial(framework_version="2.0"), make.trial("jax", "jit")]
    )
    (ranking,) = rankings_of(read_sources([first, second, first]))
    labels = {contender.label for contender in ranking.contenders}
    assert labels == {"torch eager 1.0 (a)", "torch eager 2.0 (b)", "jax jit"}


def test_a_contender_with_a_failed_certificate_has_no_rank_and_is_no_reference(make):
    other = make.repeated("torch", "compile", [900_000.0], equivalence="failed")
    ranking = only([*make.TRIALS, *other])
    assert [c.label for c in ranking.incomparable] == ["torch compile"]
    assert ranking.contenders[0].label == "jax scan"
    assert len(ranking.family.ranks) == len(ranking.timed) == 3
    assert ("Not comparable", "torch compile") in facts(ranking)


# The answer


# Within a block the ratios are 2 and 1.9 to 2.1. A slow block is slow for every contender.
SLOW = (1.0, 0.8, 0.9, 1.0, 0.7)
FAST = [200_000.0 * slow for slow in SLOW]
HALF = [100_000.0 * slow * near for slow, near in zip(SLOW, (1, 1.02, 0.98, 1.01, 1), strict=True)]
LIKE = [100_000.0 * slow * near for slow, near in zip(SLOW, (1, 0.99, 1.0, 1.0, 1.02), strict=True)]


@pytest.fixture
def five(make):
    """Three contenders in five blocks: one is twice as fast as the other two, which are equal."""
    return [
        *make.repeated("jax", "scan", FAST),
        *make.repeated("torch", "eager", HALF),
        *make.repeated("torch", "xla", LIKE),
    ]


def test_the_answer_names_the_fastest_and_its_lead_with_the_interval(five):
    ranking = only(five)
    ratio = ranking.family.ratio(0, 1)
    assert ratio.estimate == pytest.approx(paired_ratio(FAST, LIKE).estimate)
    assert sentence(ranking) == (
        f"jax scan trains mlp fastest: {ratio.estimate:.2f}× torch xla "  # noqa: RUF001
        f"({ratio.low:.2f}–{ratio.high:.2f})"  # noqa: RUF001
    )
    assert decided(ranking) == ["All 3 pairs are decided."]
    values = [THROUGHPUT.show(contender[THROUGHPUT].value) for contender in ranking.timed]
    assert tiers(ranking).rows == (
        ("1", f"jax scan {values[0]}"),
        ("2", f"torch xla {values[1]}; torch eager {values[2]}"),
    )


def test_contenders_that_are_not_shown_to_differ_share_a_range_of_ranks(five):
    ranking = only(five)
    assert [rank(ranking, place) for place in range(3)] == ["1", "2–3", "2–3"]  # noqa: RUF001
    assert relative(ranking, 0) == "1"
    assert relative(ranking, 1).startswith("0.501 (0.4")


def test_the_order_follows_the_numbers_that_are_shown(make):
    # The median of the first is higher, its mean lower.
    skewed = make.repeated("a", "m", [100.0, 100.0, 60.0])
    ranking = only([*skewed, *make.repeated("b", "m", [99.0, 98.0, 99.0])])
    shown = [contender[THROUGHPUT].value for contender in ranking.timed]
    assert shown == sorted(shown, reverse=True) == list(ranking.family.estimates)
    assert [c.label for c in ranking.contenders] == ["b m", "a m"]


def test_the_answer_can_be_that_contenders_are_equally_fast(make, five):
    ranking = only(five[5:])
    assert sentence(ranking) == "torch xla and torch eager train mlp equally fast (within 5 %)"
    slower = make.repeated("numpy", "eager", [value / 3 for value in HALF])
    assert sentence(only([*five[5:], *slower])) == (
        "torch xla and torch eager train mlp fastest and equally fast (within 5 %)"
    )


NOISY = {
    "a": [100.0, 120.0, 110.0],
    "b": [101.0, 105.0, 115.0],
    "c": [95.0, 109.0, 112.0],
    "d": [99.0, 111.0, 101.0],
    "e": [105.0, 100.0, 104.0],
}


def noisy(make, names):
    return [each for name in names for each in make.repeated(name, "m", NOISY[name])]


@pytest.mark.parametrize(
    ("names", "start"),
    [
        ("ab", "a m or b m trains mlp fastest; not decided: a m is 1.03× b m ("),  # noqa: RUF001
        ("abc", "a m, b m or c m trains mlp fastest; not decided: a m is 1.03× b m ("),  # noqa: RUF001
        ("abcde", "a m or one of 4 others trains mlp fastest; not decided: a m is 1.03× b m ("),  # noqa: RUF001
    ],
)
def test_the_answer_can_be_undecided(make, names, start):
    ranking = only(noisy(make, names))
    assert sentence(ranking).startswith(start)
    assert [len(tier) for tier in tiers_of(ranking)] == [len(names)]


def test_the_undecided_pairs_are_named_with_what_deciding_them_needs(make):
    ranking = only(msgspec.structs.replace(each, wall_seconds=50.0) for each in noisy(make, "ab"))
    more = ranking.family.repeats_needed(0, 1) - 3
    assert ranking.repeat_seconds == 100
    assert undecided_of(ranking) == ((("a m", "b m"),), more, 100 * more)
    assert decided(ranking) == [
        f"0 of 1 pair decided; about {more} more repeats ({duration(100 * more)}) would decide all."
    ]
    slow = make.repeated("slow", "m", [10.0, 10.0, 10.0])
    numbers, named = decided(only([*noisy(make, "ab"), *slow]))
    assert numbers.startswith("2 of 3 pairs decided; about ")
    assert numbers.endswith(") would decide the rest.")
    assert named == "Undecided: a m and b m."
    (numbers,) = decided(only(noisy(make, "abcde")))
    assert numbers.startswith("0 of 10 pairs decided; about "), "the list would be too long"


def test_a_tier_ends_where_a_contender_is_shown_to_be_slower_than_its_first(make):
    near = (1.0, 1.01, 0.99, 1.0)
    speeds = {"a": 100.0, "b": 99.0, "c": 60.0, "d": 59.5, "e": 20.0}
    trials = [
        each
        for turn, (name, speed) in enumerate(speeds.items())
        for each in make.repeated(name, "m", [speed * near[(turn + n) % 4] for n in range(4)])
    ]
    ranking = only([*trials, *make.repeated("f", "m", [1.0])])
    assert tiers_of(ranking) == [[0, 1], [2, 3], [4]]
    assert [row[0] for row in tiers(ranking).rows] == ["1", "2", "3", NOT_KNOWN]
    assert tiers(ranking).rows[-1][1] == "f m 1.001 (too few trials)"
    assert tiers(only([make.trial()])) is None


def test_a_tier_is_compared_with_its_first_contender_not_with_the_one_before(make):
    # The middle one differs significantly from neither; the first and last differ.
    speeds = {"a": (110, 111, 109, 110), "b": (150, 75, 120, 90), "c": (100, 101, 99, 100)}
    ranking = only(each for name, own in speeds.items() for each in make.repeated(name, "m", own))
    assert [contender.label for contender in ranking.contenders] == ["a m", "b m", "c m"]
    assert tiers_of(ranking) == [[0, 1], [2]]
    assert [rank(ranking, place) for place in range(3)] == ["1–2", "1–3", "2–3"]  # noqa: RUF001


def test_many_tiers_and_long_tiers_are_cut(make):
    apart = [(f"c{n:02}", 1000.0 / 2**n) for n in range(15)]
    alike = [(f"d{n:02}", 5000.0 + n) for n in range(9)]
    near = (1.0, 1.01, 0.99)
    trials = [
        each
        for turn, (name, speed) in enumerate([*apart, *alike])
        for each in make.repeated(name, "m", [speed * near[(turn + n) % 3] for n in range(3)])
    ]
    rows = tiers(only(trials)).rows
    assert rows[0][1].endswith("; and 3 more")
    assert rows[-1] == ("lower", "4 contenders, see the ranking")


def test_verdicts_use_the_smallest_margin_and_significance_of_the_runs(make, five, tmp_path):
    trial = Trial(five[5].job, five[5].seed, five[5].repeat)
    ended = TimeLimit(300, {trial.name: Ended("every pair is decided", 0.01)})
    renamed = msgspec.structs.replace(five[5], trial=trial.name)
    folders = [
        make.store(tmp_path / name, [renamed, *five[6:]], plan=[trial], **settings)
        for name, settings in {
            "a": {"margin": 0.2, "time_limit": ended},
            "b": {"margin": 0.001},
        }.items()
    ]
    (alone,), (both,) = rankings_of(read_sources(folders[:1])), rankings_of(read_sources(folders))
    assert sentence(alone).endswith("equally fast (within 20 %)")
    assert (both.family.margin, both.family.significance) == (0.001, 0.01)
    assert both.repeat_seconds is None, "several runs have no common repeats"


def test_a_noisy_contender_with_the_highest_median_is_ranked_below_a_faster_one(make):
    # Its median is higher by chance; its many slow trials show that it is slower.
    uneven = [101.0, 60.0] * 10 + [101.0] * 2
    ranking = only([*make.repeated("a", "m", uneven), *make.repeated("b", "m", [100.0, 99.0] * 11)])
    assert [c.label for c in ranking.contenders] == ["b m", "a m"]
    assert ranking.family.ranks == ((1, 1), (2, 2))


def test_failures_are_reported(make):
    assert dict(facts(only(make.TRIALS)))["Trials not measured"] == "1 crashed and 1 timeout"


def test_contenders_of_different_runs_are_compared_without_blocks(make, tmp_path):
    folders = [
        make.store(tmp_path / name, make.repeated("jax", "scan", values))
        for name, values in (("one", FAST), ("two", HALF))
    ]
    (ranking,) = rankings_of(read_sources(folders))
    assert ranking.family.ratio(0, 1) == pytest.approx(independent_ratio(FAST, HALF))


def test_a_single_trial_is_reported_without_spread(make):
    ranking = only([make.trial(), make.trial("jax", "jit", throughput_images_per_second=1.0)])
    assert sentence(ranking) == (
        "Too few trials to tell which contender trains mlp fastest; the highest rate is that of "
        "torch eager, 100,000 images/s"
    )
    assert decided(ranking) == ["0 of 1 pair decided; at least 2 repeats are needed."]
    assert tiers(ranking) is None
    assert [rank(ranking, place) for place in (0, 1)] == [NOT_KNOWN] * 2


def test_one_contender_is_not_compared(make):
    ranking = only([make.trial()])
    assert sentence(ranking) == "torch eager trains mlp at 100,000 images/s"
    assert decided(ranking) == []


# The terminal


def test_the_summary_contains_every_contender_and_failure(make):
    lines, rows = summary(run_of(make.TRIALS))
    assert lines == [
        "jax scan or torch eager trains mlp fastest; not decided: jax scan is 1.96× torch eager "  # noqa: RUF001
        "(0.758–5.06)",  # noqa: RUF001
        "0 of 3 pairs decided; about 1 more repeat (8 s) would decide all. Undecided: jax scan and "
        "torch eager; jax scan and numpy default; torch eager and numpy default.",
    ]
    assert {len(row) for row in rows} == {len(HEADER)}
    assert set(NUMBERS) < set(HEADER)
    assert rows[1] == (
        *("mlp on cpu", "torch eager", "1–3", "99,500"),  # noqa: RUF001
        *("0.510 (0.198–1.32)", "97.50", "300", "1.94", "2 of 3", ""),  # noqa: RUF001
    )
    assert [row[1] for row in rows[:3]] == ["jax scan", "torch eager", "numpy default"]
    assert rows[2][2:5] == ("–", "53,250", "0.273")  # noqa: RUF001
    assert rows[3][-1] == "1 trial timeout: <b>not done</b> | after 600 s & more"
    assert rows[4][-1] == "1 trial crashed: killed by [31mSIGSEGV"


def test_the_summary_marks_contenders_that_are_not_comparable(make):
    _, rows = summary(run_of([make.trial(), make.trial("jax", "jit", equivalence="failed")]))
    assert [row[HEADER.index("relative (interval)")] for row in rows] == ["1", "not comparable"]


def test_a_run_without_trials_has_an_empty_summary():
    assert summary(run_of([])) == ([], [])


# The figures


@pytest.fixture
def drawn(make):
    def draw(kind, records=None):
        with house_style():
            return kind("a title", only(records or make.TRIALS).contenders)

    return draw


def test_bars_show_estimates_and_dots_show_trials(drawn):
    axes = drawn(bars.throughput).axes[0]
    estimates = [194_936, 99_499, 53_251]
    assert [bar.get_width() for bar in axes.patches] == pytest.approx(estimates, rel=1e-5)
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        *("jax scan", "torch eager", "numpy default")
    ]
    whisker, dots = axes.lines[:2]
    assert list(whisker.get_xdata()) == [190_000, 230_000]
    assert list(dots.get_xdata()) == [190_000, 200_000, 230_000]
    assert [text.get_text() for text in axes.texts] == ["194,900", "99,500", "53,250"]


def test_memory_is_split_at_the_baseline(make, drawn):
    axes = drawn(bars.memory, [make.trial()]).axes[0]
    base, above = axes.patches[:2]
    assert (base.get_width(), above.get_x(), above.get_width()) == (100, 100, 200)
    unsplit = drawn(bars.memory, [make.trial(baseline_memory_bytes=None)]).axes[0].patches[0]
    assert (unsplit.get_width(), unsplit.get_facecolor()[3]) == (300, 0)


def test_phases_are_stacked_end_to_end(make, drawn):
    axes = drawn(bars.phases, [make.trial()]).axes[0]
    assert [bar.get_x() for bar in axes.patches[:6]] == [0, 1.5, 1.75, 1.875, 1.9375, 2.9375]
    assert axes.texts[0].get_text() == "3.2"
    unknown = drawn(bars.phases, [make.trial(compile_seconds=None)]).axes[0]
    assert unknown.texts[0].get_text() == "at least 3.2"


def test_curves_are_drawn_over_seconds_and_epochs(make, drawn):
    seconds, epochs = drawn(curves.accuracy, [make.trial()]).axes
    assert list(seconds.lines[-1].get_xdata()) == [0.5, 0.75, 1.0]
    assert list(epochs.lines[-1].get_xdata()) == [1, 2, 3]
    assert list(epochs.lines[-1].get_ydata()) == pytest.approx([93, 96, 97.5])


def test_a_wide_range_of_seconds_is_drawn_on_a_logarithmic_axis(make, drawn):
    slow = [msgspec.structs.replace(epoch, seconds=50.0) for epoch in make.trial().per_epoch]
    records = [make.trial(), make.trial("numpy", "default", per_epoch=slow)]
    assert drawn(curves.accuracy, records).axes[0].get_xscale() == "log"
    assert drawn(curves.accuracy, [make.trial()]).axes[0].get_xscale() == "linear"


def test_a_backend_has_one_hue_and_each_mode_a_separate_line_style(make):
    pairs = [("torch", "eager"), ("torch", "compile"), ("jax", "jit"), ("one", "m"), ("two", "m")]
    ranking = only([make.trial(*pair) for pair in pairs])
    styles = palette.styles(ranking.contenders)
    assert len({colour for colour, _ in styles}) == len(pairs)
    assert [line for _, line in styles].count("-") == 4
    assert len(set(palette.hues(ranking.contenders).values())) == 6
    assert palette.mixed("#204060", 0.5) == "#90a0b0"
    assert palette.mixed("#204060", -0.5) == "#102030"


def until(seconds, epochs=3, reached=True):
    return TimeToAccuracy(0.98, reached, seconds, epochs)


def test_a_median_time_to_accuracy_counts_the_censored_as_slowest(make):
    times = [until(2.0), until(3.0, reached=False), until(1.0)]
    (ranking,) = ranked([make.trial(time_to_accuracy=time, until_accuracy=0.98) for time in times])
    (contender,) = ranking.measured
    spread = contender[TIME_TO_ACCURACY]
    assert (spread.minimum, spread.value, spread.maximum) == (1.0, 2.0, math.inf)
    assert "until 98 %" in ranking.setting


def test_precisions_and_inputs_are_ranked_separately(make):
    others = [{}, {"precision": "bfloat16"}, {"input": "pipeline"}, {"until_accuracy": 0.9}]
    rankings = ranked([make.trial(**changes) for changes in others])
    assert len(rankings) == 4
    assert len({ranking.title for ranking in rankings}) == 4
