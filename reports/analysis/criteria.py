"""What a reader asks for in words: metrics by name, weights and limits."""

import re
from collections.abc import Sequence

from bench.errors import ChoiceError, check_known, split_list
from reports.analysis.weighing import Limit
from reports.metrics import METRICS, Metric

# Of a value in base units: a share, seconds, bytes.
UNITS = {
    "": 1.0,
    "%": 0.01,
    "ms": 1e-3,
    "s": 1.0,
    "KiB": 2.0**10,
    "MiB": 2.0**20,
    "GiB": 2.0**30,
    "KB": 1e3,
    "MB": 1e6,
    "GB": 1e9,
}
_LIMIT = re.compile(r"\s*([a-z_0-9]+)\s*(>=|<=)\s*([0-9.]+(?:e-?[0-9]+)?)\s*([A-Za-z%]*)\s*")


def metric_named(name: str) -> Metric:
    """The metric of that key, or else the first in the glossary whose key holds those words.

    Raises:
        ChoiceError: there is none.
    """
    for metric in METRICS:
        if metric.key == name:
            return metric
    for metric in METRICS:
        if name and f"_{name}_" in f"_{metric.key}_":
            return metric
    check_known([name], [metric.key for metric in METRICS], "metric")
    raise AssertionError("an empty name is not known")


def parse_weights(text: str) -> dict[Metric, float]:
    """Weights as in `throughput=3,memory=1`.

    Raises:
        ChoiceError: a part that is no such weight, a metric that has no better direction, or none.
    """
    made: dict[Metric, float] = {}
    for part in split_list(text):
        name, _, number = part.partition("=")
        metric = directed_metric(name.strip())
        try:
            weight = float(number)
        except ValueError:
            weight = -1.0
        if not 0 <= weight <= 1e6:
            raise ChoiceError(
                f"received the weight {part!r}, expected a name and a number of 0 or more like "
                "throughput=3"
            )
        made[metric] = weight
    weighty = {metric: weight for metric, weight in made.items() if weight > 0}
    if not weighty:
        raise ChoiceError(f"received the weights {text!r}, expected one above 0 like throughput=3")
    return weighty


def parse_limits(texts: Sequence[str]) -> list[Limit]:
    """Limits as in `test_accuracy>=0.97` or `memory<=1GiB`.

    Raises:
        ChoiceError: a text that is no such limit.
    """
    return [_limit(text) for text in texts]


def _limit(text: str) -> Limit:
    found = _LIMIT.fullmatch(text)
    if found is None or found[4] not in UNITS:
        raise ChoiceError(
            f"received the limit {text!r}, expected a name, >= or <=, and a number with one of "
            f"{', '.join(filter(None, UNITS))} or none, like memory<=1GiB"
        )
    name, sign, number, unit = found.groups()
    return Limit(metric_named(name), sign == ">=", float(number) * UNITS[unit])


def directed_metric(name: str) -> Metric:
    """The metric, of which more or less is better.

    Raises:
        ChoiceError: there is none, or it has no better direction.
    """
    metric = metric_named(name)
    if metric.direction is None:
        raise ChoiceError(
            f"received {metric.key}, expected a metric of which more or less is better"
        )
    return metric
