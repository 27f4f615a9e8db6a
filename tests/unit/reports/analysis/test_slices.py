"""Slices over time: where the dots of a chart are."""

import msgspec
import pytest
from support.records import ranked

from reports.analysis.rankings import rankings_of
from reports.analysis.runs import read_sources
from reports.analysis.slices import timeline_of
from reports.exports.html.payload import payload_of

RATES = [800, 1000, 1000, 1200]


def timeline(records, **limits):
    (ranking,) = ranked(records)
    return timeline_of(ranking.contenders, **limits)


def test_trials_that_were_measured_alone_have_no_timeline(make):
    assert timeline(make.TRIALS) is None


def test_repeats_follow_one_another_without_the_time_between_them(make):
    found = timeline([make.in_rounds("torch", "eager", repeat, RATES) for repeat in (2, 1)])
    minutes = (3 * 3 + 0.25) / 60
    assert [span.name for span in found.spans] == ["repeat 1", "repeat 2"]
    assert found.spans[0][1:3] == pytest.approx((0, minutes))
    second = minutes * (1 + 2 * 0.02)
    assert found.spans[1].start == pytest.approx(second)
    starts = [dot.minutes for dot in found.tracks[0].dots if dot.span == 1]
    assert starts == pytest.approx([second + number * 0.05 for number in range(4)])


def test_disturbed_slices_do_not_count_in_the_median(make):
    found = timeline([make.in_rounds("torch", "eager", 1, [*RATES, 40, 40, 40], (5, 6, 7))])
    (track,) = found.tracks
    assert track.middle == 1000
    assert [bool(dot.flags) for dot in track.dots] == [False] * 4 + [True] * 3
    assert track.deviation(track.dots[3], 0.5) == pytest.approx(0.4)
    assert track.deviation(track.dots[4], 0.5) == -1, "it is at the edge of its row"


def test_if_all_slices_were_disturbed_all_count(make):
    found = timeline([make.in_rounds("torch", "eager", 1, RATES, (1, 2, 3, 4))])
    assert found.tracks[0].middle == 1000


@pytest.mark.parametrize(("share", "reach"), [(1.0, 0.05), (1.07, 0.1), (1.25, 0.3), (4, 0.5)])
def test_rows_reach_as_far_as_most_slices_deviate(make, share, reach):
    found = timeline([make.in_rounds("torch", "eager", 1, [1000, 1000, 1000 * share] * 6)])
    assert found.reach == reach


def test_of_too_many_slices_every_nth_round_is_left(make):
    trials = [make.in_rounds(b, m, 1, RATES * 5) for b, m in (("torch", "eager"), ("jax", "jit"))]
    found = timeline(trials, most=20)
    assert found.every == 2
    assert [[dot.round for dot in track.dots] for track in found.tracks] == [[*range(1, 20, 2)]] * 2


def test_repeats_of_several_runs_are_named_by_run(make, tmp_path):
    runs = [
        make.store(tmp_path / name, [make.in_rounds("torch", "eager", 1, RATES)])
        for name in ("first", "second")
    ]
    (ranking,) = rankings_of(read_sources(runs))
    found = timeline_of(ranking.contenders)
    assert {span.name for span in found.spans} <= {"first, repeat 1", "second, repeat 1"}


def test_labels_of_many_repeats_do_not_overlap(make):
    found = timeline([make.in_rounds("torch", "eager", n, RATES) for n in range(1, 24)])
    labels = [span.label for span in found.spans]
    assert labels[0] == "repeat 1"
    assert 5 <= sum(map(bool, labels)) <= 12


def test_the_page_gets_each_slice_with_its_disturbance(make):
    trials = [make.in_rounds("torch", "eager", 1, RATES, (2,)), make.trial("jax", "jit")]
    (slices,) = payload_of(ranked(trials))["slices"]
    assert slices["flags"] == ["", "other processes"]
    jax, torch = sorted(slices["tracks"], key=lambda track: len(track["dots"]))
    assert (jax["middle"], jax["dots"]) == (None, [])
    assert torch["dots"][:2] == [(0.0, 800, 0, 1, 0), (0.05, 1000, 0, 2, 1)]


def test_the_page_grows_little_by_slices(make):
    trials = [
        make.in_rounds("torch", f"mode{mode}", repeat, [123_456] * 30, (1, 2, 3))
        for mode in range(10)
        for repeat in range(1, 7)
    ]
    slices = payload_of(ranked(trials))["slices"]
    assert len(msgspec.json.encode(slices)) < 50_000
