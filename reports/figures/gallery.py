"""Which figures a ranking has, and what each says to a reader who does not see it."""

import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from matplotlib.figure import Figure

from reports.analysis.contenders import Contender
from reports.analysis.rankings import Ranking
from reports.analysis.runs import distinct
from reports.analysis.slices import timeline_of
from reports.display import count, listed
from reports.document import Picture
from reports.figures import bars, curves, turns
from reports.figures.canvas import MOST_ROWS, MOST_TRIALS, picture
from reports.metrics import ACCURACY, FIRST_STEP, PEAK_MEMORY, THROUGHPUT, Metric

_LONGEST_STEM = 60
MANY_TRIALS = 20_000  # above, the figures of one ranking only are drawn
MOST_RANKINGS = 6  # with figures drawn for print: they take most of a report's time


class Kind(NamedTuple):
    """A kind of figure.

    Attributes:
        name: the first word of its files.
        draw: from a title and contenders.
        title: what is shown.
        metric: what the description of the figure quotes for each contender.
        caption: how to read it.
    """

    name: str
    draw: Callable[[str, Sequence[Contender]], Figure]
    title: str
    metric: Metric
    caption: str


THROUGHPUT_BARS = Kind(
    "throughput",
    bars.throughput,
    "Throughput",
    THROUGHPUT,
    "Bars show the estimated throughput, lines run from the slowest to the fastest trial, and each "
    "dot is a trial.",
)
ACCURACY_CURVES = Kind(
    "accuracy",
    curves.accuracy,
    "Test accuracy over training",
    ACCURACY,
    "Left against the seconds spent in training steps, right against epochs. Thick lines are "
    "medians over the trials, thin ones single trials; equal work gives equal lines on the right.",
)
MEMORY_BARS = Kind(
    "memory",
    bars.memory,
    "Peak memory",
    PEAK_MEMORY,
    "Medians over the trials: the pale part is held once the framework is imported, the full part "
    "is what the work adds. An outline is a peak whose parts are not known.",
)
PHASE_BARS = Kind(
    "phases",
    bars.phases,
    "Seconds to the first step",
    FIRST_STEP,
    "Medians over the trials of each phase's seconds, end to end; the start of the process itself "
    "is not in it.",
)
SLICES = Kind(
    "slices",
    turns.slices,
    "Slices of training over time",
    THROUGHPUT,
    "Each dot is a slice, above the line if it was faster than the contender's median, below if "
    "slower; at a row's edge it is further away. Hollow dots were disturbed and do not count. Time "
    "between repeats, in which workers start, is left out.",
)
KINDS = (THROUGHPUT_BARS, ACCURACY_CURVES, MEMORY_BARS, PHASE_BARS, SLICES)

Gallery = dict[tuple[str, int], Picture]


def gallery_of(rankings: Sequence[Ranking]) -> Gallery:
    """Return every kind of figure of each ranking with contenders, by kind and position."""
    stems = stems_of(rankings)
    trials = sum(c.repeats for ranking in rankings for c in ranking.contenders)
    most = MOST_RANKINGS if trials <= MANY_TRIALS else 1
    return {
        (kind.name, position): _picture(kind, ranking, stems[position])
        for position, ranking in enumerate(rankings)
        for kind in KINDS
        if position < most and _has(kind, ranking)
    }


def _has(kind: Kind, ranking: Ranking) -> bool:
    drawn = ranking.contenders[:MOST_ROWS]
    return bool(drawn) and (kind is not SLICES or timeline_of(drawn) is not None)


def stems_of(rankings: Sequence[Ranking]) -> list[str]:
    """Return the end of the file names of each ranking's figures."""
    return distinct([_stem(ranking.title) for ranking in rankings], "{}-{}")


def _picture(kind: Kind, ranking: Ranking, stem: str) -> Picture:
    drawn = ranking.contenders[:MOST_ROWS]
    left_out = len(ranking.contenders) - len(drawn)
    note = f" Drawn are the {len(drawn)} fastest of {len(ranking.contenders)}." if left_out else ""
    if max(c.repeats for c in drawn) > MOST_TRIALS and kind is ACCURACY_CURVES:
        note += f" Of each contender the first {MOST_TRIALS} trials are drawn."
    values = [f"{c.label} {kind.metric.quote(c[kind.metric].value)}" for c in drawn]
    contenders = count(len(drawn), "contender")
    description = f"{kind.title}, {ranking.title}, {contenders}: {listed(values)}."
    draw = partial(kind.draw, ranking.title, drawn)
    return picture(f"{kind.name}-{stem}", description, kind.caption + note, draw)


def _stem(title: str) -> str:
    """Return the title as a file name of lower-case letters, digits and hyphens."""
    words = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
    return words[:_LONGEST_STEM].strip("-") or "ranking"
