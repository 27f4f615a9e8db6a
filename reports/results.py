"""The sections that answer: who was fastest, the rankings, accuracy, memory, phases."""

import math
from collections.abc import Callable, Sequence

from reports.answers import facts, lead, sentence
from reports.cells import medians, relative, repeats, spread
from reports.document import Column, Part, Section, Table
from reports.figures.gallery import (
    ACCURACY_CURVES,
    MEMORY_BARS,
    PHASE_BARS,
    THROUGHPUT_BARS,
    Gallery,
    Kind,
)
from reports.formats import NOT_KNOWN, TO
from reports.metrics import (
    ACCURACY,
    BASELINE_MEMORY,
    DEVICE_MEMORY,
    FIRST_STEP,
    LOSS,
    MEMORY_ABOVE_BASELINE,
    PEAK_MEMORY,
    PHASES,
    THROUGHPUT,
    TRAIN,
    Metric,
)
from reports.rankings import Ranking

CONTENDER_COLUMN = Column("Contender")
_RANGE = f"min{TO}max"

MakeTable = Callable[[Ranking], Table]


def result_sections(rankings: Sequence[Ranking], gallery: Gallery) -> list[Section]:
    """The sections in a reader's order."""
    return [
        _answer(rankings),
        _section("ranking", "Ranking", rankings, gallery, THROUGHPUT_BARS, _ranking_table),
        _section("accuracy", "Accuracy over time", rankings, gallery, ACCURACY_CURVES, _accuracy),
        _section("memory", "Memory", rankings, gallery, MEMORY_BARS, _memory),
        _section("phases", "Phases", rankings, gallery, PHASE_BARS, _phases),
    ]


def _answer(rankings: Sequence[Ranking]) -> Section:
    parts = tuple(
        Part(
            heading=ranking.title,
            note=ranking.setting,
            lead=lead(ranking),
            paragraphs=(sentence(ranking),),
            facts=tuple(facts(ranking)),
        )
        for ranking in rankings
    )
    intro = "" if parts else "The run holds no trial, so there is nothing to compare."
    return Section("answer", "The answer", parts, intro)


def _section(
    anchor: str,
    title: str,
    rankings: Sequence[Ranking],
    gallery: Gallery,
    kind: Kind,
    table: MakeTable,
) -> Section:
    parts = tuple(
        Part(
            heading=ranking.title,
            picture=gallery.get((kind.name, position)),
            table=table(ranking),
        )
        for position, ranking in enumerate(rankings)
        if ranking.measured
    )
    return Section(anchor, title, parts, "" if parts else "No trial gave a measurement.")


def _columns(metrics: Sequence[Metric]) -> tuple[Column, ...]:
    return tuple(Column(metric.heading, number=True) for metric in metrics)


def _ranking_table(ranking: Ranking) -> Table:
    others = (ACCURACY, LOSS, PEAK_MEMORY, FIRST_STEP)
    columns = (
        CONTENDER_COLUMN,
        Column("Rank", number=True),
        Column(THROUGHPUT.heading, number=True),
        Column(_RANGE, number=True),
        Column("Trials", number=True),
        Column("Relative", number=True),
        *_columns(others),
    )
    rows = [
        (
            contender.label,
            place,
            *spread(contender, THROUGHPUT),
            repeats(contender),
            relative(contender),
            *medians(contender, others),
        )
        for place, contender in zip(_places(ranking), ranking.measured, strict=True)
    ]
    return Table(f"{ranking.title}: contenders by throughput", columns, tuple(rows))


def _places(ranking: Ranking) -> list[str]:
    """Each contender's rank; none where the throughput is not known or not comparable."""
    ranked = [
        f"{place}" if math.isfinite(contender[THROUGHPUT].median) else NOT_KNOWN
        for place, contender in enumerate(ranking.contenders, start=1)
    ]
    return ranked + [NOT_KNOWN] * len(ranking.incomparable)


def _accuracy(ranking: Ranking) -> Table:
    columns = (
        CONTENDER_COLUMN,
        *_columns((ACCURACY,)),
        Column(_RANGE, number=True),
        *_columns((LOSS,)),
        Column(_RANGE, number=True),
        *_columns((TRAIN,)),
    )
    rows = tuple(
        (c.label, *spread(c, ACCURACY), *spread(c, LOSS), *medians(c, (TRAIN,)))
        for c in ranking.measured
    )
    return Table(f"{ranking.title}: accuracy and loss after the last epoch", columns, rows)


def _memory(ranking: Ranking) -> Table:
    metrics = (PEAK_MEMORY, BASELINE_MEMORY, MEMORY_ABOVE_BASELINE, DEVICE_MEMORY)
    columns = (CONTENDER_COLUMN, *_columns(metrics[:1]), Column(_RANGE, number=True))
    rows = tuple(
        (c.label, *spread(c, PEAK_MEMORY), *medians(c, metrics[1:])) for c in ranking.measured
    )
    return Table(f"{ranking.title}: memory", (*columns, *_columns(metrics[1:])), rows)


def _phases(ranking: Ranking) -> Table:
    metrics = (*PHASES, FIRST_STEP)
    rows = tuple((c.label, *medians(c, metrics)) for c in ranking.measured)
    return Table(
        f"{ranking.title}: medians of each phase's seconds",
        (CONTENDER_COLUMN, *_columns(metrics)),
        rows,
    )
