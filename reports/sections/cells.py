"""A contender's cells, the same in every table."""

from collections import defaultdict
from collections.abc import Sequence

from bench.statistics.ratios import Ratio
from reports.analysis.contenders import Contender
from reports.analysis.rankings import Ranking
from reports.display import NOT_KNOWN, fixed, listed, significant, span
from reports.document import Table
from reports.metrics import METRICS, THROUGHPUT, Metric


def medians(contender: Contender, metrics: Sequence[Metric]) -> tuple[str, ...]:
    """Return the value of each metric: the median, or the estimate of throughput."""
    return tuple(metric.show(contender[metric].value) for metric in metrics)


def spread(contender: Contender, metric: Metric) -> tuple[str, str]:
    """Return the median, and the range if there are several trials."""
    values = contender[metric]
    several = contender.known(metric) > 1
    reach = span(values.minimum, values.maximum, metric.write) if several else NOT_KNOWN
    return metric.show(values.value), reach


def fewer(ranking: Ranking, table: Table) -> str:
    """Say which quantities of a table are not known in all trials, and in how many they are."""
    titles = {column.title for column in table.columns}
    names: defaultdict[str, list[str]] = defaultdict(list)
    for metric in METRICS:
        known = [(c.known(metric), c.repeats) for c in ranking.measured if c.known(metric)]
        partly = [pair for pair in known if pair[0] < pair[1]]
        if metric.heading in titles and partly:
            some, all_ = (span(min(n), max(n), fixed(0)) for n in zip(*partly, strict=True))
            whose = " of some contenders" if len(partly) < len(known) else ""
            names[f"{some} of {all_} trials{whose}"].append(metric.title.lower())
    return " ".join(f"Known in {trials}: {listed(own)}." for trials, own in names.items())


def repeats(contender: Contender) -> str:
    """Return the number of trials that ended well, and of how many if some failed."""
    if contender.repeats == contender.attempted:
        return str(contender.repeats)
    return f"{contender.repeats} of {contender.attempted}"


def throughput(contender: Contender) -> tuple[str, str]:
    """Return the throughput, and its 95 % interval if there are several trials."""
    if not contender.blocks:
        return NOT_KNOWN, NOT_KNOWN
    interval = span(*contender.interval, THROUGHPUT.write)
    return THROUGHPUT.show(contender[THROUGHPUT].value), interval


def rank(ranking: Ranking, place: int) -> str:
    """Return the ranks that the contender can have; a dash with too few trials."""
    ranks = ranking.family.ranks
    known = ranks[place] if place < len(ranks) else None
    return span(known.low, known.high, fixed(0)) if known else NOT_KNOWN


def relative(ranking: Ranking, place: int) -> str:
    """Throughput as a share of the first contender's, with its 95 % interval."""
    if not ranking.measured[place].is_comparable:
        return "not comparable"
    if place >= len(ranking.timed):
        return NOT_KNOWN
    return "1" if place == 0 else times(ranking.family.ratio(place, 0))


def times(ratio: Ratio) -> str:
    """Format a ratio, with its interval if it has one."""
    write = significant(3)
    if not ratio.is_known:
        return write(ratio.estimate)
    return f"{write(ratio.estimate)} ({span(ratio.low, ratio.high, write)})"
