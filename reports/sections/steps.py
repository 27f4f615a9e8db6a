"""The section on single steps: how their times are distributed, and what calling each one costs."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from reports.analysis.contenders import Contender
from reports.analysis.predictions import explained
from reports.analysis.rankings import Ranking
from reports.analysis.runs import Source
from reports.display import NOT_KNOWN, count, significant
from reports.document import Part, Picture, Section, Table, numbers, texts
from reports.figures.bars import strips
from reports.figures.canvas import MOST_ROWS, house_style, saved
from reports.figures.gallery import MOST_RANKINGS, stems_of
from reports.metrics import THROUGHPUT

Seconds = npt.NDArray[np.float64]  # (calls,)
Timed = tuple[Contender, Seconds]

_MILLISECONDS = significant(3, 1e3)
_PERCENTILES = (5, 50, 95, 99)
_INTRO = (
    "Each step is a separate call that waits for the device, in the first trial of each contender, "
    "after everything else was measured. The last column is a step within an epoch's single call, "
    "which the throughput counts: the difference is what a framework saves by running ahead."
)
_CAPTION = (
    "Each dot is a call; the bar runs from the 5th to the 95th percentile, its notch is the "
    "median. The axis is logarithmic."
)


def step_sections(rankings: Sequence[Ranking], sources: Sequence[Source]) -> list[Section]:
    """Return the section; none if no run timed single steps."""
    parts = []
    with house_style():
        for place, (ranking, stem) in enumerate(zip(rankings, stems_of(rankings), strict=True)):
            timed = [
                (contender, np.array(each.told.step_seconds))
                for contender, each in explained(ranking, sources)
                if each.told.step_seconds
            ]
            if timed:
                drawn = place < MOST_RANKINGS
                made = _part(ranking, timed, stem if drawn else None)
                parts.append(replace(made, ranking=place))
    intro = _INTRO if parts else ""
    return [Section("steps", "Single steps", tuple(parts), intro, reference=True)] if parts else []


def _part(ranking: Ranking, timed: Sequence[Timed], stem: str | None) -> Part:
    columns = (
        *texts("Contender"),
        *numbers(
            "Calls", *(f"p{percentile}, ms" for percentile in _PERCENTILES), "Within an epoch, ms"
        ),
    )
    batch = int(ranking.choices["batch_size"])
    rows = tuple((contender.label, *_cells(contender, own, batch)) for contender, own in timed)
    table = Table(f"{ranking.title}: times of single steps", columns, rows)
    picture = _picture(ranking, timed, stem) if stem else None
    return Part(heading=ranking.title, picture=picture, table=table)


def _cells(contender: Contender, seconds: Seconds, batch: int) -> tuple[str, ...]:
    found = np.percentile(seconds, _PERCENTILES).tolist()
    throughput = contender[THROUGHPUT].median
    within = _MILLISECONDS(batch / throughput) if throughput > 0 else NOT_KNOWN
    return f"{len(seconds):,}", *map(_MILLISECONDS, found), within


def _picture(ranking: Ranking, timed: Sequence[Timed], stem: str) -> Picture:
    shown = timed[:MOST_ROWS]
    contenders = [contender for contender, _ in shown]
    times = [seconds * 1e3 for _, seconds in shown]
    figure = strips("Times of single steps, ms", ranking.title, contenders, times)
    description = f"Times of single steps, {ranking.title}, {count(len(shown), 'contender')}."
    return saved(f"steps-{stem}", description, _CAPTION, figure)
