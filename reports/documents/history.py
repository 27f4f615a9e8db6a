"""How contenders changed over many runs: a series each, with the runs at which its level moved."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from statistics import fmean, median
from typing import Any, NamedTuple

import numpy as np

from bench.statistics.changes import change_points
from reports.analysis.contenders import Contender
from reports.analysis.rankings import rankings_of
from reports.analysis.runs import Source
from reports.display import count, plain
from reports.document import Chart, Part, Report, Section, Table, numbers, texts
from reports.figures.palette import LINES, styles
from reports.metrics import Metric


class Point(NamedTuple):
    """A contender in one run: when it began, its value there, and the range of its trials."""

    run: str
    started: str
    value: float
    minimum: float
    maximum: float


class Change(NamedTuple):
    """A move of the level: from which run on, and by how many times."""

    run: str
    started: str
    ratio: float


class Series(NamedTuple):
    """A contender over the runs, in order of time.

    Attributes:
        setting: model, device and what distinguishes it; a series contains equal settings only.
        contender: the last of it, for its name and colour.
        label: backend and mode.
        points: one a run.
        changes: where the level moved.
    """

    setting: str
    contender: Contender
    label: str
    points: tuple[Point, ...]
    changes: tuple[Change, ...]


def series_of(sources: Sequence[Source], metric: Metric) -> list[Series]:
    """Return the series of each contender, without contenders that are not comparable."""
    ordered = sorted(sources, key=lambda source: source.run.manifest.started_at)
    found: defaultdict[tuple[str, str], list[tuple[Source, Contender]]] = defaultdict(list)
    # As a report of all runs would show them.
    titles = {tuple(r.choices.items()): r.title for r in rankings_of(ordered)}
    for source in ordered:
        for ranking in rankings_of([source]):
            setting = titles[tuple(ranking.choices.items())]
            for contender in ranking.contenders:
                if np.isfinite(contender[metric].value):
                    label = plain(f"{contender.backend} {contender.mode}")
                    found[setting, label].append((source, contender))
    return [_series(*key, members, metric) for key, members in found.items()]


def _series(
    setting: str, label: str, members: Sequence[tuple[Source, Contender]], metric: Metric
) -> Series:
    points = tuple(
        Point(source.name, source.run.manifest.started_at, *_three(contender, metric))
        for source, contender in members
    )
    values = [point.value for point in points]
    positive = all(value > 0 for value in values)
    starts = change_points(values) if positive else []
    bounds = [0, *starts, len(values)]
    levels = [
        float(np.exp(fmean(np.log(values[first:last]))))
        for first, last in pairwise(bounds)
        if starts
    ]
    changes = tuple(
        Change(points[start].run, points[start].started, after / before)
        for start, (before, after) in zip(starts, pairwise(levels), strict=True)
    )
    return Series(setting, members[-1][1], label, points, changes)


def _three(contender: Contender, metric: Metric) -> tuple[float, float, float]:
    spread = contender[metric]
    return spread.value, spread.minimum, spread.maximum


def history_report(series: Sequence[Series], metric: Metric, runs: int) -> Report:
    """Return the document with one part per setting: a chart and a table of its series."""
    settings = dict.fromkeys(one.setting for one in series)
    parts = tuple(
        Part(
            heading=setting,
            chart=Chart(f"history-{number}", f"{metric.title} over the runs: {setting}", _CAPTION),
            table=_table(setting, [one for one in series if one.setting == setting], metric),
        )
        for number, setting in enumerate(settings)
    )
    moved = sum(len(one.changes) for one in series)
    subtitle = f"evenbench: {count(runs, 'run')}, {count(moved, 'change')} of level"
    section = Section("history", metric.title, parts, "" if parts else "No run gave a measurement.")
    return Report(f"{metric.title} over time", subtitle, (section,))


_CAPTION = (
    "Medians over each run's trials; lines run from the smallest to the largest. A diamond marks "
    "the first run of a new level."
)


def _table(setting: str, series: Sequence[Series], metric: Metric) -> Table:
    columns = (
        *texts("Contender"),
        *numbers(
            "Runs",
            f"First, {metric.unit}" if metric.unit else "First",
            f"Last, {metric.unit}" if metric.unit else "Last",
            "Median of all",
        ),
        *texts("Changes of level"),
    )
    rows = tuple(
        (
            one.label,
            f"{len(one.points):,}",
            metric.show(one.points[0].value),
            metric.show(one.points[-1].value),
            metric.show(median(point.value for point in one.points)),
            "; ".join(f"{c.ratio:.3f} times from {c.run} on" for c in one.changes) or "none",
        )
        for one in series
    )
    return Table(f"{setting}: {metric.title.lower()} over the runs", columns, rows)


def history_payload(series: Sequence[Series], metric: Metric) -> list[dict[str, Any]]:
    """Return the data of the page's charts, one per setting."""
    settings = dict.fromkeys(one.setting for one in series)
    return [
        {
            "title": metric.heading,
            "scale": metric.write.scale,
            "series": _drawn([one for one in series if one.setting == setting]),
        }
        for setting in settings
    ]


def _drawn(series: Sequence[Series]) -> list[dict[str, Any]]:
    looks = styles([one.contender for one in series])
    return [
        {
            "label": one.label,
            "colour": colour,
            "turn": LINES.index(line),
            "points": [point._asdict() for point in one.points],
            "changes": [change.run for change in one.changes],
        }
        for one, (colour, line) in zip(series, looks, strict=True)
    ]
