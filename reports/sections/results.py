"""The sections that answer: who was fastest, the rankings, accuracy, memory, phases."""

import math
from collections.abc import Callable, Sequence

from reports.analysis.contenders import Contender
from reports.analysis.rankings import Failure, Ranking
from reports.analysis.verdicts import pairs_of
from reports.display import LONGEST_REASON, NOT_KNOWN, NOT_REACHED, TO, fixed, shortened, span
from reports.document import Chart, Column, Part, Section, Table, numbers, texts
from reports.figures.gallery import (
    ACCURACY_CURVES,
    MEMORY_BARS,
    PHASE_BARS,
    THROUGHPUT_BARS,
    Gallery,
    Kind,
)
from reports.metrics import (
    ACCURACY,
    BASELINE_MEMORY,
    COLD_START,
    DEVICE_MEMORY,
    FIRST_STEP,
    LATENCIES,
    LOSS,
    MEMORY_ABOVE_BASELINE,
    PEAK_MEMORY,
    PHASES,
    PREDICTION,
    RANKED,
    THROUGHPUT,
    TIME_TO_ACCURACY,
    TRAIN,
    Metric,
)
from reports.sections.answer import (
    FASTEST_START,
    LEAST_MEMORY,
    Fact,
    decided,
    facts,
    sentence,
    tiers,
)
from reports.sections.cells import (
    fewer,
    medians,
    rank,
    relative,
    repeats,
    spread,
    throughput,
    times,
)
from reports.sections.trade_offs import (
    best_section,
    break_even_section,
    scaling_section,
    trade_off_section,
)

CONTENDER_COLUMN = Column("Contender")
_RANGE = f"min{TO}max"

# Of the page's own charts, which show what the reader chooses.
_CAPTIONS = {
    "ranking": "Bars show the estimated throughput of each comparable contender, or the median of "
    "another quantity over the trials. Lines run from the smallest to the largest trial; in the "
    "chart of throughput each dot is a trial.",
    "accuracy": "Medians over the trials after each epoch. Against epochs, equal work gives equal "
    "lines; against seconds, the faster contender is on the left.",
    "memory": "Medians over the trials: the pale part is held once the framework is imported, the "
    "full part is what the work adds.",
    "phases": "Medians over the trials of each phase's seconds, end to end; the start of the "
    "process itself is not in it.",
}
_MOST_PAIRED = 20  # contenders; nobody reads a longer list of pairs
_PAIRS = (
    "The intervals are simultaneous: in 95 % of all rankings, every one contains the true ratio. "
    "Where the test of all pairs shows more than an interval does, the interval ends at 1. "
    "Two contenders are the same if they differ by less than the margin. The repeats needed "
    "include those so far, and are estimated as if the ratio were exact."
)
_TOO_MANY_PAIRS = (
    "There are too many pairs for a table: bench.load(FOLDER).pairs and results.json have them."
)
_INTROS = {
    "ranking": "The interval of the images/s contains what the machine does between repeats, which "
    "affects all contenders alike. It cancels in the relative throughput and in the verdicts, so "
    "intervals of the images/s that overlap do not contradict a rank.",
}
_WITH_CONTROLS = ("ranking", "accuracy")

MakeTable = Callable[[Ranking], Table]


def result_sections(rankings: Sequence[Ranking], gallery: Gallery) -> list[Section]:
    """Return the sections in the order in which they are read."""
    return [
        _answer(rankings),
        _section("ranking", "Ranking", rankings, gallery, THROUGHPUT_BARS, _ranking_table),
        best_section(rankings),
        trade_off_section(rankings),
        _section("accuracy", "Accuracy over time", rankings, gallery, ACCURACY_CURVES, _accuracy),
        break_even_section(rankings),
        *scaling_section(rankings),
        _section("memory", "Memory", rankings, gallery, MEMORY_BARS, _memory),
        _section("phases", "Phases", rankings, gallery, PHASE_BARS, _phases),
        _plain_section("target", "Time to accuracy", rankings, TIME_TO_ACCURACY, _target),
        _plain_section("prediction", "Prediction", rankings, PREDICTION, _prediction),
        *_pairs_section(rankings),
    ]


def _answer(rankings: Sequence[Ranking]) -> Section:
    all_facts = [tuple(facts(ranking)) for ranking in rankings]
    cards = [
        Part(
            heading=ranking.title,
            note=ranking.setting,
            lead=sentence(ranking),
            paragraphs=tuple(decided(ranking)),
            table=tiers(ranking),
            facts=all_facts[position],
            ranking=position,
        )
        for position, ranking in enumerate(rankings)
    ]
    overview = [Part(table=_overview(rankings, all_facts))] if len(rankings) > 1 else []
    intro = "" if cards else "The run holds no trial, so there is nothing to compare."
    return Section("answer", "The answer", (*overview, *cards), intro)


def _overview(rankings: Sequence[Ranking], all_facts: Sequence[Sequence[Fact]]) -> Table:
    """Return a table with the answer to the first questions of a reader, one row per ranking."""
    questions = (LEAST_MEMORY, FASTEST_START)
    columns = (Column("Model and device"), Column("Fastest training"), *map(Column, questions))
    rows = []
    for ranking, its_facts in zip(rankings, map(dict, all_facts), strict=True):
        others = (its_facts.get(name, NOT_KNOWN) for name in questions)
        rows.append((ranking.title, sentence(ranking), *others))
    return Table("The answer for each model and device", columns, tuple(rows))


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
            note=fewer(ranking, made := table(ranking)),
            picture=gallery.get((kind.name, position)),
            table=made,
            chart=Chart(anchor, f"{kind.title}: {ranking.title}", _CAPTIONS[anchor]),
            ranking=position,
        )
        for position, ranking in enumerate(rankings)
        if ranking.measured
    )
    intro = _INTROS.get(anchor, "") if parts else "No trial gave a measurement."
    return Section(anchor, title, parts, intro, controls=anchor in _WITH_CONTROLS)


def _plain_section(
    anchor: str, title: str, rankings: Sequence[Ranking], metric: Metric, table: MakeTable
) -> Section:
    """A table for each ranking that knows the metric, without a figure."""
    parts = tuple(
        Part(heading=ranking.title, note=fewer(ranking, made := table(ranking)), table=made)
        for ranking in rankings
        if any(not math.isnan(contender[metric].value) for contender in ranking.measured)
    )
    return Section(anchor, title, parts, "" if parts else "Not measured in these trials.")


def _pairs_section(rankings: Sequence[Ranking]) -> list[Section]:
    """Return the section with every pair; none if no two contenders were measured."""
    parts = tuple(
        Part(
            heading=ranking.title,
            paragraphs=() if len(ranking.timed) <= _MOST_PAIRED else (_TOO_MANY_PAIRS,),
            table=_pairs(ranking) if len(ranking.timed) <= _MOST_PAIRED else None,
            ranking=position,
        )
        for position, ranking in enumerate(rankings)
        if len(ranking.timed) > 1
    )
    section = Section("pairs", "Every pair", parts, _PAIRS, reference=True)
    return [section] if parts else []


def _pairs(ranking: Ranking) -> Table:
    columns = (
        *texts("Contender", "Compared with"),
        *numbers("Times as fast (interval)"),
        *texts("Verdict"),
        *numbers("Repeats needed"),
    )
    rows = tuple(
        (
            pair.one,
            pair.other,
            times(pair.ratio),
            pair.verdict,
            NOT_KNOWN if pair.repeats_needed is None else f"{pair.repeats_needed:,}",
        )
        for pair in pairs_of(ranking)
    )
    return Table(f"{ranking.title}: every pair of contenders", columns, rows)


def _target(ranking: Ranking) -> Table:
    """Return the table of the time and epochs until the requested accuracy."""
    columns = (
        CONTENDER_COLUMN,
        *_columns((TIME_TO_ACCURACY,)),
        Column(_RANGE, number=True),
        Column("Epochs", number=True),
        *_columns((ACCURACY,)),
    )
    rows = tuple(
        (
            c.label,
            *spread(c, TIME_TO_ACCURACY),
            _epochs(c),
            *medians(c, (ACCURACY,)),
        )
        for c in ranking.measured
    )
    return Table(f"{ranking.title}: training time to the requested accuracy", columns, rows)


def _epochs(contender: Contender) -> str:
    """Return the epochs trained, marked if most trials missed the target."""
    trained = [len(curve.epochs) for curve in contender.trial_curves]
    if contender[TIME_TO_ACCURACY].value == math.inf:
        return f"{NOT_REACHED} within {max(trained)}"
    return span(min(trained), max(trained), fixed(0)) if trained else NOT_KNOWN


def _prediction(ranking: Ranking) -> Table:
    metrics = (*LATENCIES, PREDICTION)
    rows = tuple((c.label, *medians(c, metrics)) for c in ranking.measured)
    return Table(
        f"{ranking.title}: medians of prediction after training",
        (CONTENDER_COLUMN, *_columns(metrics)),
        rows,
    )


def _columns(metrics: Sequence[Metric]) -> tuple[Column, ...]:
    return tuple(Column(metric.heading, number=True) for metric in metrics)


def _ranking_table(ranking: Ranking) -> Table:
    """Return the table of ranked contenders, then incomparable and failed ones with the reason."""
    others = _known(ranking, [metric for metric in RANKED if metric is not THROUGHPUT])
    columns = (
        CONTENDER_COLUMN,
        Column("Rank", number=True),
        Column(THROUGHPUT.heading, number=True),
        Column("95 % interval", number=True),
        Column("Trials", number=True),
        Column("Relative (interval)", number=True),
        *_columns(others),
    )
    measured = [
        (
            contender.label,
            rank(ranking, place),
            *throughput(contender),
            repeats(contender),
            relative(ranking, place),
            *medians(contender, others),
        )
        for place, contender in enumerate(ranking.measured)
    ]
    without = [_unranked(failure) for failure in _without_trial(ranking)]
    return Table(
        f"{ranking.title}: contenders by throughput",
        columns,
        (*measured, *without),
        subjects=tuple(range(len(measured))),
        below=len(ranking.incomparable) + len(without),
    )


def _known(ranking: Ranking, metrics: Sequence[Metric]) -> list[Metric]:
    """Return the metrics that are known of at least one contender."""
    measured = ranking.measured
    return [m for m in metrics if any(math.isfinite(c[m].value) for c in measured)]


def _without_trial(ranking: Ranking) -> list[Failure]:
    """Return one failure of each contender without a trial that ended well."""
    measured = {contender.label for contender in ranking.measured}
    failed = {failure.label: failure for failure in ranking.failures}
    return [failure for label, failure in failed.items() if label not in measured]


def _unranked(failure: Failure) -> tuple[str, ...]:
    reason = shortened(failure.reason, LONGEST_REASON)
    return failure.label, f"{failure.outcome}: {reason}"


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
    return Table(
        f"{ranking.title}: accuracy and loss after the last epoch", columns, rows, _all(rows)
    )


def _memory(ranking: Ranking) -> Table:
    metrics = (PEAK_MEMORY, BASELINE_MEMORY, MEMORY_ABOVE_BASELINE, DEVICE_MEMORY)
    columns = (CONTENDER_COLUMN, *_columns(metrics[:1]), Column(_RANGE, number=True))
    rows = tuple(
        (c.label, *spread(c, PEAK_MEMORY), *medians(c, metrics[1:])) for c in ranking.measured
    )
    return Table(f"{ranking.title}: memory", (*columns, *_columns(metrics[1:])), rows, _all(rows))


def _phases(ranking: Ranking) -> Table:
    metrics = (*PHASES, FIRST_STEP, COLD_START)
    rows = tuple((c.label, *medians(c, metrics)) for c in ranking.measured)
    return Table(
        f"{ranking.title}: medians of each phase's seconds",
        (CONTENDER_COLUMN, *_columns(metrics)),
        rows,
        _all(rows),
    )


def _all(rows: Sequence[object]) -> tuple[int, ...]:
    """Return the contender of each row, when all are shown in the ranking's order."""
    return tuple(range(len(rows)))
