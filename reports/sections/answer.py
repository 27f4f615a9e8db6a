"""The answer, generated from the numbers: which was fastest, by how much, how sure that is."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import combinations

from reports.analysis.best import Best, best_of
from reports.analysis.contenders import Contender
from reports.analysis.rankings import Ranking
from reports.analysis.verdicts import (
    Undecided,
    leaders_of,
    number_of_pairs,
    tiers_of,
    undecided_of,
)
from reports.display import NOT_KNOWN, TIMES, count, duration, listed, significant, span
from reports.document import Table, texts
from reports.metrics import (
    ACCURACY,
    COLD_START,
    LATENCIES,
    PEAK_MEMORY,
    PREDICTION,
    THROUGHPUT,
    Metric,
)

Fact = tuple[str, str]

_MOST_NAMED = 3  # in addition to the first: nobody reads a longer list
_MOST_TIERS = 12
_MOST_MEMBERS = 6  # named of a tier
_RATIO = significant(3)

LEAST_MEMORY = "Least memory"
FASTEST_START = "Fastest start"
# The questions of a reader in addition to throughput.
_QUESTIONS = (
    (LEAST_MEMORY, PEAK_MEMORY),
    (FASTEST_START, COLD_START),
    ("Lowest latency", LATENCIES[0]),
    ("Fastest prediction", PREDICTION),
)


def sentence(ranking: Ranking) -> str:
    """Return the answer as one sentence that can be forwarded."""
    timed, model = ranking.timed, ranking.choices["model"]
    if not timed:
        return "Nothing was measured"
    first, rate = timed[0].label, timed[0][THROUGHPUT].value
    if len(timed) == 1:
        return f"{first} trains {model} at {THROUGHPUT.quote(rate)}"
    if ranking.family.ranks[1] is None:
        highest = f"the highest rate is that of {first}, {THROUGHPUT.quote(rate)}"
        return f"Too few trials to tell which contender trains {model} fastest; {highest}"
    leaders = leaders_of(ranking)
    if len(leaders) == 1:
        return f"{first} trains {model} fastest: {_lead(ranking, 1)}"
    names = [timed[place].label for place in leaders]
    if all(ranking.family.verdict(*pair) == "same" for pair in combinations(leaders, 2)):
        fastest = " fastest and" if len(leaders) < len(timed) else ""
        within = f"(within {100 * ranking.family.margin:g} %)"
        return f"{_named(names, 'and')} train {model}{fastest} equally fast {within}"
    comparison = f"{first} is {_lead(ranking, leaders[1])}"
    return f"{_named(names, 'or')} trains {model} fastest; not decided: {comparison}"


def _lead(ranking: Ranking, place: int) -> str:
    """Return the first contender's ratio to another one, with its interval."""
    ratio = ranking.family.ratio(0, place)
    interval = span(ratio.low, ratio.high, _RATIO)
    return f"{_RATIO(ratio.estimate)}{TIMES} {ranking.timed[place].label} ({interval})"


def _named(names: Sequence[str], word: str) -> str:
    """Name the contenders, or the first and the number of the others if they are many."""
    if len(names) <= _MOST_NAMED + 1:
        return listed(names, word)
    others = f"{len(names) - 1} others"
    return f"{names[0]} {word} {others if word == 'and' else f'one of {others}'}"


def decided(ranking: Ranking) -> list[str]:
    """Return sentences on how many pairs are decided, which are not, and what these need."""
    pairs, undecided = number_of_pairs(ranking), undecided_of(ranking)
    if not pairs:
        return []
    if not undecided.pairs:
        return [f"All {pairs:,} pairs are decided." if pairs > 1 else "The pair is decided."]
    sentences = [f"{_progress(ranking, undecided)}."]
    if len(undecided.pairs) <= _MOST_NAMED and pairs > 1:
        named = "; ".join([listed(pair) for pair in undecided.pairs])
        sentences.append(f"Undecided: {named}.")
    return sentences


def _progress(ranking: Ranking, undecided: Undecided) -> str:
    pairs, left = number_of_pairs(ranking), len(undecided.pairs)
    numbers = f"{pairs - left:,} of {count(pairs, 'pair')} decided"
    if not ranking.family.p_values:
        return f"{numbers}; at least 2 repeats are needed"
    if undecided.repeats is None:
        return numbers
    time = "" if undecided.seconds is None else f" ({duration(undecided.seconds)})"
    repeats = f"about {count(undecided.repeats, 'more repeat')}{time}"
    return f"{numbers}; {repeats} would decide {'the rest' if left < pairs else 'all'}"


def tiers(ranking: Ranking) -> Table | None:
    """Return the ranking in tiers; None if no contenders are compared."""
    found = tiers_of(ranking)
    if not ranking.family.p_values:
        return None
    rows = [(str(number), _members(ranking, own)) for number, own in enumerate(found, start=1)]
    left_out = sum(len(own) for own in found[_MOST_TIERS:])
    del rows[_MOST_TIERS:]
    if left_out:
        rows.append(("lower", f"{count(left_out, 'contender')}, see the ranking"))
    unranked = [place for place, rank in enumerate(ranking.family.ranks) if rank is None]
    if unranked:
        rows.append((NOT_KNOWN, f"{_members(ranking, unranked)} (too few trials)"))
    is_shared = any(len(own) > 1 for own in found)
    rule = " (those of a tier are not shown to be slower than its first)" if is_shared else ""
    columns = texts("Tier", f"Contenders, {THROUGHPUT.unit}{rule}")
    return Table(f"{ranking.title}: tiers", columns, tuple(rows))


def _members(ranking: Ranking, places: Sequence[int]) -> str:
    named = [_with_throughput(ranking.timed[place]) for place in places[:_MOST_MEMBERS]]
    left_out = len(places) - len(named)
    return "; ".join([*named, *([f"and {left_out:,} more"] if left_out else [])])


def _with_throughput(contender: Contender) -> str:
    return f"{contender.label} {THROUGHPUT.show(contender[THROUGHPUT].value)}"


def facts(ranking: Ranking) -> list[Fact]:
    """Return what else differs and what is missing, each with a name and a value."""
    return [*_comparisons(ranking), *_caveats(ranking)]


def _comparisons(ranking: Ranking) -> Iterator[Fact]:
    contenders = ranking.contenders
    accuracies = [c[ACCURACY].value for c in contenders if math.isfinite(c[ACCURACY].value)]
    if accuracies:
        reach = span(min(accuracies), max(accuracies), ACCURACY.write)
        yield "Test accuracy of all", f"{reach} {ACCURACY.unit}"
    for name, metric in _QUESTIONS:
        best = best_of(metric, ranking)
        if best:
            yield name, _described(metric, best)


def _described(metric: Metric, best: Best) -> str:
    """Describe the best contender with its value and margin, or all contenders of a tie."""
    value = metric.quote(best.value)
    if best.level:
        tied = _named([best.label, *best.level], "and")
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
