"""Slices over time: how fast the contenders of a ranking trained, round by round."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import median
from typing import NamedTuple

import numpy as np

from bench.records.trial import Slice, TrialRecord
from reports.analysis.contenders import Contender

MOST_SLICES = 6_000  # in a chart; of more, only every nth round is drawn
_REACHES = (0.05, 0.1, 0.2, 0.3, 0.5)
_WITHIN = 95  # percent of the slices that a chart's rows have room for
_GAP = 0.02  # between repeats, as a share of the minutes of all of them
_LETTER = 0.014  # width of a label's letter, likewise


class Span(NamedTuple):
    """The rounds of one repeat.

    Attributes:
        name: of the repeat.
        start: first minute, on the axis of time.
        end: last minute.
        label: the name, or empty if it would overlap with the label before it.
    """

    name: str
    start: float
    end: float
    label: str


class Dot(NamedTuple):
    """A slice of training.

    Attributes:
        minutes: its start, on the axis of time.
        rate: images per second.
        span: number of its repeat's span, from 0.
        round: number of its round, from 1.
        flags: its disturbances; a disturbed slice does not count.
    """

    minutes: float
    rate: float
    span: int
    round: int
    flags: str


class Track(NamedTuple):
    """The slices of a contender.

    Attributes:
        middle: median rate of the slices that count, images per second; NaN without slices.
        dots: the slices.
    """

    middle: float
    dots: tuple[Dot, ...]

    @property
    def shares(self) -> list[float]:
        """Rates of the slices that count, as shares of their median."""
        return [dot.rate / self.middle for dot in self.dots if not dot.flags]

    def deviation(self, dot: Dot, reach: float) -> float:
        """Return how far a slice is from the median: 1 is `reach` or more faster, -1 slower."""
        return max(-1.0, min(1.0, (dot.rate / self.middle - 1) / reach))


@dataclass(frozen=True)
class Timeline:
    """The slices of a ranking's contenders over time.

    Repeats follow one another without the time between them, in which workers start. It may also
    be a night, before an interrupted run was resumed.

    Attributes:
        spans: the repeats in order of time.
        tracks: the slices of each contender, in the order of the contenders.
        reach: the deviation from a contender's median that a chart has room for, as a share.
        every: only every nth round is included.
    """

    spans: tuple[Span, ...]
    tracks: tuple[Track, ...]
    reach: float
    every: int = 1


def timeline_of(contenders: Sequence[Contender], most: float = math.inf) -> Timeline | None:
    """Return the slices of training over time; None if no trial was measured in rounds.

    Args:
        contenders: of one ranking.
        most: number of slices above which rounds are left out.
    """
    records = [(c, record) for c in contenders for record in c.records if _in_rounds(record)]
    if not records:
        return None
    every = max(1, math.ceil(sum(len(training(record)) for _, record in records) / most))
    spans, starts = _spans(records)
    tracks = tuple(_track(contender, starts, every) for contender in contenders)
    shares = [abs(share - 1) for track in tracks for share in track.shares]
    room = float(np.percentile(shares, _WITHIN)) if shares else 0.0
    reach = next((reach for reach in _REACHES if reach >= room), _REACHES[-1])
    return Timeline(spans, tracks, reach, every)


def training(record: TrialRecord) -> list[Slice]:
    """Return the trial's slices of training."""
    return [each for each in record.slices if each.kind == "train"]


def _in_rounds(record: TrialRecord) -> bool:
    return record.rounds_began_at is not None and bool(training(record))


def _spans(
    records: Sequence[tuple[Contender, TrialRecord]],
) -> tuple[tuple[Span, ...], dict[str, tuple[int, float]]]:
    """Return the spans, and by the moment when rounds began their span and its first minute."""
    several = len({contender.run for contender, _ in records}) > 1
    names: dict[str, str] = {}
    minutes: dict[str, float] = {}
    for contender, record in records:
        began = str(record.rounds_began_at)
        name = f"repeat {record.repeat}"
        names[began] = f"{contender.run}, {name}" if several else name
        ended = max((each.at_seconds + each.seconds) / 60 for each in training(record))
        minutes[began] = max(minutes.get(began, 0.0), ended)
    total = sum(minutes.values())
    spans: list[Span] = []
    starts: dict[str, tuple[int, float]] = {}
    clock = free = 0.0
    for number, (name, group) in enumerate(groupby(sorted(minutes), key=names.__getitem__)):
        first = clock
        for began in group:
            starts[began] = (number, clock)
            clock += minutes[began]
        label = name if first >= free else ""
        spans.append(Span(name, first, clock, label))
        if label:
            free = first + _LETTER * total * (len(label) + 1)
        clock += _GAP * total
    return tuple(spans), starts


def _track(contender: Contender, starts: dict[str, tuple[int, float]], every: int) -> Track:
    dots = []
    for record in filter(_in_rounds, contender.records):
        span, start = starts[str(record.rounds_began_at)]
        dots += [
            Dot(start + each.at_seconds / 60, each.rate, span, each.round, "; ".join(each.flags))
            for each in training(record)
            if (each.round - 1) % every == 0
        ]
    counted = [dot.rate for dot in dots if not dot.flags] or [dot.rate for dot in dots]
    return Track(median(counted) if counted else math.nan, tuple(dots))
