"""The answer, generated from the numbers: which was fastest, by how much, how sure that is."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence

from bench.statistics.planning import MOST_REPEATS, repeats_needed
from reports.analysis.best import Best, best_of, level_of
from reports.analysis.contenders import Contender
from reports.analysis.rankings import Ranking
from reports.display import count, listed, span
from reports.metrics import (
    ACCURACY,
    COLD_START,
    LATENCIES,
    PEAK_MEMORY,
    PREDICTION,
    THROUGHPUT,
    Metric,
)
from reports.sections.cells import times

Fact = tuple[str, str]

_MOST_NAMED = 3  # in addition to the first: nobody reads a longer list
VISIBLE = 0.05  # a slowdown that readers ask about

# The questions of a reader in addition to throughput.
_QUESTIONS = (
    ("Least memory", PEAK_MEMORY),
    ("First to train", COLD_START),
    ("Quickest answer", LATENCIES[0]),
    ("Fastest prediction", PREDICTION),
)


def lead(ranking: Ranking) -> str:
    """Return the answer in a few words: the fastest, or all that are too close to call."""
    timed = ranking.timed
    if not timed:
        return "Nothing was measured"
    if len(timed) > 1 and not ranking.family.ratio(0, 1).is_known:
        return "Too few trials to tell"
    level = level_of(ranking)
    if level:
        return f"Too close to call: {_tied(timed[0].label, level, len(timed))}"
    return f"{timed[0].label}: {THROUGHPUT.quote(timed[0].median.estimate)}"


def sentence(ranking: Ranking) -> str:
    """Say which contender was fastest, by how much, and how certain that is."""
    timed = ranking.timed
    if not timed:
        return "No trial of a comparable contender gave a throughput."
    best = timed[0]
    figures = f"{THROUGHPUT.quote(best.median.estimate)} ({_trials(best)})"
    if len(timed) == 1:
        return f"{best.label} was the only contender that was measured: median {figures}."
    following = timed[1]
    shown = ranking.family.verdict(0, 1) == "faster"
    claim = "was fastest: median" if shown and not level_of(ranking) else "comes first: median"
    return (
        f"{best.label} {claim} {figures}, {times(ranking.family.ratio(0, 1))} times the next, "
        f"{following.label} ({THROUGHPUT.show(following.median.estimate)}); {_how_sure(ranking)}."
    )


def facts(ranking: Ranking) -> list[Fact]:
    """Return what else differs and what is missing, each with a name and a value."""
    return [
        *_comparisons(ranking),
        *_repeats_needed(ranking),
        *_caveats(ranking),
    ]


def _tied(first: str, level: Sequence[str], of: int) -> str:
    """Name the contenders without a measurable difference, or their number if they are many."""
    if len(level) <= _MOST_NAMED:
        return listed([first, *level])
    return f"all {of} contenders" if len(level) + 1 == of else f"{first} and {len(level)} others"


def _trials(contender: Contender) -> str:
    number = len(contender.blocks)
    if number == 1:
        return "one trial"
    interval = span(contender.median.low, contender.median.high, THROUGHPUT.write)
    return f"95 % interval {interval}, {count(number, 'trial')}"


def _how_sure(ranking: Ranking) -> str:
    if not ranking.family.ratio(0, 1).is_known:
        single = [c.label for c in ranking.timed[:2] if len(c.blocks) == 1]
        return f"with a single trial of {listed(single)} the spread is not known"
    level = level_of(ranking)
    if level:
        others = listed(level) if len(level) <= _MOST_NAMED else f"{len(level)} others"
        return f"no measurable difference between it and {others}"
    return "chance does not explain the difference"


def _repeats_needed(ranking: Ranking) -> Iterator[Fact]:
    """Yield the repeats needed, estimated from the spread of the ratio of the first two."""
    if len(ranking.timed) < 2 or not ranking.family.ratio(0, 1).is_known:
        return
    spread = ranking.family.ratio(0, 1).spread
    needed = repeats_needed(VISIBLE, spread, len(ranking.family.p_values))
    number = f"about {needed:,}" if needed else f"more than {MOST_REPEATS:,}"
    yield f"Repeats needed to see {100 * VISIBLE:g} %", number


def _comparisons(ranking: Ranking) -> Iterator[Fact]:
    contenders = ranking.contenders
    accuracies = [c[ACCURACY].median for c in contenders if math.isfinite(c[ACCURACY].median)]
    if accuracies:
        reach = span(min(accuracies), max(accuracies), ACCURACY.write)
        yield "Test accuracy of all", f"{reach} {ACCURACY.unit}"
    for name, metric in _QUESTIONS:
        best = best_of(metric, ranking)
        if best:
            yield name, _described(metric, best, ranking)


def _described(metric: Metric, best: Best, ranking: Ranking) -> str:
    """Describe the best contender with its value and margin, or all contenders of a tie."""
    value = metric.quote(best.median)
    if best.level:
        tied = _tied(best.label, best.level, len(ranking.contenders))
        return f"{tied} cannot be told apart; {best.label} has {value}"
    return f"{best.label}, {value}; {best.margin}"


def _caveats(ranking: Ranking) -> Iterator[Fact]:
    if ranking.incomparable:
        yield "Not comparable", listed([contender.label for contender in ranking.incomparable])
    outcomes: Counter[str] = Counter()
    for failure in ranking.failures:
        outcomes[failure.outcome] += failure.trials
    if outcomes:
        ended = listed([f"{number} {outcome}" for outcome, number in sorted(outcomes.items())])
        yield "Trials not measured", ended
