"""Sections that read the rankings further: best in each metric, trade-offs, break-even, scaling."""

import math
from collections.abc import Iterator, Sequence

from reports.analysis.best import best_of
from reports.analysis.rankings import Ranking
from reports.analysis.scaling import Sweep, sweeps_of
from reports.analysis.trade_offs import Course, courses, front, steps_until
from reports.analysis.weighing import decide
from reports.display import NOT_KNOWN, count, listed, significant
from reports.document import Chart, Part, Section, Table, numbers, texts
from reports.metrics import FIRST_STEP, METRICS, PEAK_MEMORY, THROUGHPUT, Metric

_TRADE_OFFS = (
    "The dotted line joins the contenders on the Pareto front; axes whose values differ widely are "
    "logarithmic. Drag to look closer, double-click to go back."
)
_BREAK_EVEN = (
    "The wait until training starts, then the steps: where two lines cross, the later starter has "
    "caught up. Both axes are logarithmic."
)
_SCALING = (
    "Estimated throughput; lines run from the slowest to the fastest trial. A crossover is named "
    "if the verdicts on both sides are opposite, at the significance level divided by the number "
    "of settings."
)
_WRITE_STEPS = significant(3)


def best_section(rankings: Sequence[Ranking]) -> Section:
    """Return the section on the best contender in each metric, with its interval and margin."""
    parts = tuple(
        Part(heading=ranking.title, table=_best(ranking), ranking=position)
        for position, ranking in enumerate(rankings)
        if ranking.contenders
    )
    intro = (
        "The best value of each quantity with its 95 % interval, and the next. Contenders that are "
        "not shown to be worse are named next to the best."
    )
    return Section("best", "Best in each quantity", parts, intro if parts else "", reference=True)


def _best(ranking: Ranking) -> Table:
    columns = (
        *texts("Quantity", "Best"),
        *numbers("Value", "95 % interval"),
        *texts("Margin to the next"),
    )
    rows = [_best_row(metric, ranking) for metric in METRICS if metric.direction]
    return Table(
        f"{ranking.title}: best in each quantity",
        columns,
        tuple(row for row in rows if row is not None),
    )


def _best_row(metric: Metric, ranking: Ranking) -> tuple[str, ...] | None:
    found = best_of(metric, ranking)
    if found is None:
        return None
    named = listed([found.label, *found.level])
    return metric.heading, named, metric.show(found.value), found.interval, found.margin


def trade_off_section(rankings: Sequence[Ranking]) -> Section:
    """Return the section on the Pareto front; the page lets the reader choose other metrics."""
    parts = tuple(
        Part(
            heading=ranking.title,
            table=_front(ranking),
            chart=Chart(
                "trade-offs", f"{ranking.title}: two quantities of each contender", _TRADE_OFFS
            ),
            ranking=position,
        )
        for position, ranking in enumerate(rankings)
        if ranking.contenders
    )
    intro = (
        "On the front are the contenders that no other beats in one of the two quantities without "
        "losing in the other. The score weighs them alike: the geometric mean of the ratios to "
        "the best."
    )
    return Section("trade-offs", "Trade-offs", parts, intro if parts else "", controls=True)


def _front(ranking: Ranking) -> Table:
    best = {c.label for c in front(ranking.contenders, THROUGHPUT, PEAK_MEMORY)}
    decision = decide(ranking.contenders, {THROUGHPUT: 1.0, PEAK_MEMORY: 1.0})
    scores = {contender.label: f"{score:.2f}" for contender, score in decision.ranked}
    columns = (
        *texts("Contender"),
        *numbers(THROUGHPUT.heading, PEAK_MEMORY.heading),
        *texts("On the front"),
        *numbers("Score"),
    )
    rows = tuple(
        (
            c.label,
            THROUGHPUT.show(c[THROUGHPUT].value),
            PEAK_MEMORY.show(c[PEAK_MEMORY].value),
            "yes" if c.label in best else "no",
            scores.get(c.label, NOT_KNOWN),
        )
        for c in ranking.contenders
    )
    title = f"{ranking.title}: throughput against peak memory"
    return Table(title, columns, rows, tuple(range(len(rows))))


def break_even_section(rankings: Sequence[Ranking]) -> Section:
    """Return the section on when a slow start is paid back."""
    parts = tuple(
        Part(
            heading=ranking.title,
            table=table,
            chart=Chart("break-even", f"{ranking.title}: seconds against steps", _BREAK_EVEN),
            ranking=position,
        )
        for position, ranking in enumerate(rankings)
        if (table := _break_even(ranking)) is not None
    )
    intro = (
        "A contender that compiles longer starts later. It overtakes the first to train once its "
        "quicker steps have paid for the wait (import, data, build and compile)."
    )
    return Section("break-even", "When compiling pays", parts, intro if parts else "")


def _break_even(ranking: Ranking) -> Table | None:
    known = courses(ranking.contenders, int(ranking.choices["batch_size"]))
    if len(known) < 2:
        return None
    places = {contender.label: place for place, contender in enumerate(ranking.contenders)}
    columns = (
        *texts("Contender"),
        *numbers(FIRST_STEP.heading, "Step, ms", "Overtakes after, steps", "and after, s"),
    )
    first = known[0]
    rows = tuple(
        (
            course.label,
            FIRST_STEP.show(course.wait),
            significant(3, 1000)(course.step),
            *_overtaking(course, first),
        )
        for course in known
    )
    title = f"{ranking.title}: when each overtakes {first.label}, the first to train"
    return Table(title, columns, rows, tuple(places[course.label] for course in known))


def _overtaking(course: Course, first: Course) -> tuple[str, str]:
    if course == first:
        return "first to train", NOT_KNOWN
    steps = steps_until(course, first)
    if math.isinf(steps):
        return "never", NOT_KNOWN
    return _WRITE_STEPS(math.ceil(steps)), _WRITE_STEPS(course.after(steps))


def scaling_section(rankings: Sequence[Ranking]) -> list[Section]:
    """Return the section on sweeps; none if nothing was swept."""
    parts = tuple(
        Part(
            heading=sweep.title,
            paragraphs=tuple(_crossings(sweep)),
            table=_sweep_table(sweep),
            chart=Chart(f"scaling-{number}", sweep.title, _SCALING),
        )
        for number, sweep in enumerate(sweeps_of(rankings))
    )
    return [Section("scaling", "Scaling", parts)] if parts else []


def _sweep_table(sweep: Sweep) -> Table:
    columns = (*texts("Contender"), *numbers(*sweep.values))
    rows = tuple(
        (label, *(THROUGHPUT.show(spread.value if spread else None) for spread in spreads))
        for label, spreads in sweep.spreads.items()
    )
    return Table(f"{sweep.title}: throughput, {THROUGHPUT.unit}", columns, rows)


_MOST_CROSSINGS = 8


def _crossings(sweep: Sweep) -> Iterator[str]:
    found = sweep.crossovers()
    for crossing in found[:_MOST_CROSSINGS]:
        yield (
            f"{crossing.overtaker} overtakes {crossing.overtaken} between {crossing.before} and "
            f"{crossing.after}."
        )
    if len(found) > _MOST_CROSSINGS:
        yield f"And {count(len(found) - _MOST_CROSSINGS, 'crossover')} more, seen in the table."
    if not found:
        yield "No two contenders are shown to change places."
