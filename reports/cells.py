"""A contender's cells, the same in every table."""

import math
from collections.abc import Sequence

from reports.contenders import Contender
from reports.formats import NOT_KNOWN, span
from reports.metrics import Metric


def medians(contender: Contender, metrics: Sequence[Metric]) -> tuple[str, ...]:
    """The median of each metric."""
    return tuple(metric.show(contender[metric].median) for metric in metrics)


def spread(contender: Contender, metric: Metric) -> tuple[str, str]:
    """The median, and the smallest to the largest where there are several trials."""
    values = contender[metric]
    several = contender.repeats > 1
    reach = span(values.minimum, values.maximum, metric.write) if several else NOT_KNOWN
    return metric.show(values.median), reach


def repeats(contender: Contender) -> str:
    """How many trials the numbers are over, and of how many where some failed."""
    if contender.repeats == contender.attempted:
        return str(contender.repeats)
    return f"{contender.repeats} of {contender.attempted}"


def relative(contender: Contender) -> str:
    """Throughput as a share of the fastest's."""
    if not contender.is_comparable:
        return "not comparable"
    return f"{contender.relative:.2f}" if math.isfinite(contender.relative) else NOT_KNOWN
