"""The answer, generated from the numbers: which was fastest, by how much, how sure that is."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence

from reports.contenders import Contender
from reports.formats import count, listed, span
from reports.metrics import ACCURACY, FIRST_STEP, PEAK_MEMORY, THROUGHPUT, Metric
from reports.rankings import Ranking

Fact = tuple[str, str]


def lead(ranking: Ranking) -> str:
    """The answer in a few words: the fastest, or those that are too close to call."""
    timed = _timed(ranking)
    if not timed:
        return "Nothing was measured"
    level = _level(timed)
    if level:
        return f"Too close to call: {listed([timed[0].label, *level])}"
    return f"{timed[0].label}: {THROUGHPUT.quote(timed[0][THROUGHPUT].median)}"


def sentence(ranking: Ranking) -> str:
    """Who was fastest, by how much, and how sure that is."""
    timed = _timed(ranking)
    if not timed:
        return "No trial of a comparable contender gave a throughput."
    best = timed[0]
    figures = f"{THROUGHPUT.quote(best[THROUGHPUT].median)} ({_trials(best)})"
    if len(timed) == 1:
        return f"{best.label} was the only contender that was measured: median {figures}."
    following = timed[1]
    claim = "had the highest median:" if _level(timed) else "was fastest: median"
    times = best[THROUGHPUT].median / following[THROUGHPUT].median
    other = THROUGHPUT.show(following[THROUGHPUT].median)
    return (
        f"{best.label} {claim} {figures}, {times:.2f} times the next, {following.label} "
        f"({other}); {_how_sure(timed)}."
    )


def facts(ranking: Ranking) -> list[Fact]:
    """What else differs, and what is missing: a name and a value each."""
    return [*_comparisons(ranking.contenders), *_caveats(ranking)]


def _timed(ranking: Ranking) -> list[Contender]:
    return [c for c in ranking.contenders if math.isfinite(c[THROUGHPUT].median)]


def _level(timed: Sequence[Contender]) -> list[str]:
    """The contenders whose range reaches that of the fastest."""
    slowest_of_best = timed[0][THROUGHPUT].minimum
    return [c.label for c in timed[1:] if c[THROUGHPUT].maximum >= slowest_of_best]


def _trials(contender: Contender) -> str:
    if contender.repeats == 1:
        return "one trial"
    spread = contender[THROUGHPUT]
    reach = span(spread.minimum, spread.maximum, THROUGHPUT.write)
    return f"{reach} over {count(contender.repeats, 'trial')}"


def _how_sure(timed: Sequence[Contender]) -> str:
    single = [contender.label for contender in timed[:2] if contender.repeats == 1]
    if single:
        return f"with a single trial of {listed(single)} the spread is not known"
    level = _level(timed)
    if level:
        return f"its range overlaps that of {listed(level)}, so the order may be chance"
    return "its range overlaps no other"


def _comparisons(contenders: Sequence[Contender]) -> Iterator[Fact]:
    accuracies = [c[ACCURACY].median for c in contenders if math.isfinite(c[ACCURACY].median)]
    if accuracies:
        reach = span(min(accuracies), max(accuracies), ACCURACY.write)
        yield "Test accuracy of all", f"{reach} {ACCURACY.unit}"
    for name, metric in (("Least memory", PEAK_MEMORY), ("First to train", FIRST_STEP)):
        best = _lowest(contenders, metric)
        if best:
            yield name, f"{best.label}, {metric.quote(best[metric].median)}"


def _lowest(contenders: Sequence[Contender], metric: Metric) -> Contender | None:
    known = [c for c in contenders if math.isfinite(c[metric].median)]
    return min(known, key=lambda c: c[metric].median, default=None)


def _caveats(ranking: Ranking) -> Iterator[Fact]:
    if ranking.incomparable:
        yield "Not comparable", listed([contender.label for contender in ranking.incomparable])
    outcomes: Counter[str] = Counter()
    for failure in ranking.failures:
        outcomes[failure.outcome] += failure.trials
    if outcomes:
        ended = listed([f"{number} {outcome}" for outcome, number in sorted(outcomes.items())])
        yield "Trials not measured", ended
