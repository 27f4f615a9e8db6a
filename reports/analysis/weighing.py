"""Rank contenders by weights and limits, and find how far the weights can move.

The score is the weighted product of the ratios to the best (Bridgman 1922; Miller and Starr 1969):
for contender c and metrics k with weights w_k

    score(c) = exp(sum_k w_k ln r_ck / sum_k w_k),

r_ck being the value as a share of the best where more is better, and the best as a share of the
value where less is. Ratios have no unit, and the order of two contenders depends on no third.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.errors import ChoiceError, split_list
from reports.analysis.contenders import Contender
from reports.display import NOT_KNOWN
from reports.metrics import Metric, directed_metric, metric_named

Weights = Mapping[Metric, float]

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


@dataclass(frozen=True)
class Limit:
    """A bound for a contender's median, in base units."""

    metric: Metric
    at_least: bool
    value: float

    def __str__(self) -> str:
        """Return the limit as a part of a sentence."""
        sign = "at least" if self.at_least else "at most"
        return f"{self.metric.title.lower()} {sign} {self.metric.quote(self.value)}"

    def is_kept_by(self, value: float) -> bool:
        """Return whether the value is within the limit; an unknown value is not."""
        return value >= self.value if self.at_least else value <= self.value


@dataclass(frozen=True)
class Room:
    """How far one weight can move, with the others unchanged, before another contender wins."""

    metric: Metric
    weight: float
    lowest: float
    highest: float
    below: str
    above: str


@dataclass(frozen=True)
class Decision:
    """The contenders that can be scored, the best first, and why the others cannot be.

    Attributes:
        ranked: contenders with their scores; 1 is the best in every weighted metric.
        excluded: contenders with the reason.
        room: for each weighted metric, how far its weight can move; empty without a rival.
    """

    ranked: tuple[tuple[Contender, float], ...]
    excluded: tuple[tuple[Contender, str], ...]
    room: tuple[Room, ...]


def decide(
    contenders: Sequence[Contender], weights: Weights, limits: Sequence[Limit] = ()
) -> Decision:
    """Rank the contenders.

    Args:
        contenders: the contenders of one ranking.
        weights: above 0, of metrics with a direction.
        limits: contenders that break one are excluded.
    """
    reasons = [(c, _reason(c, weights, limits)) for c in contenders]
    eligible = [contender for contender, reason in reasons if not reason]
    logs = {c.label: _logarithms(c, eligible, weights) for c in eligible}
    total = sum(weights.values())
    score = {
        label: sum(weights[metric] * value for metric, value in own.items()) / total
        for label, own in logs.items()
    }
    ordered = sorted(eligible, key=lambda c: (-score[c.label], c.label))
    return Decision(
        ranked=tuple((c, math.exp(score[c.label])) for c in ordered),
        excluded=tuple((contender, reason) for contender, reason in reasons if reason),
        room=_room([c.label for c in ordered], logs, weights),
    )


def _reason(contender: Contender, weights: Weights, limits: Sequence[Limit]) -> str:
    """Why it cannot be scored; empty if it can."""
    if not contender.is_comparable:
        return "not comparable"
    for limit in limits:
        value = contender[limit.metric].value
        if not limit.is_kept_by(value):
            return f"not {limit}: {limit.metric.quote(value)}"
    for metric in weights:
        value = contender[metric].value
        if not (math.isfinite(value) and value > 0):
            shown = "not known" if metric.show(value) == NOT_KNOWN else "not above 0"
            return f"{metric.title.lower()} is {shown}"
    return ""


def _logarithms(
    contender: Contender, eligible: Sequence[Contender], weights: Weights
) -> dict[Metric, float]:
    """The logarithm of each metric's ratio to the best: 0 for the best, else below."""
    made = {}
    for metric in weights:
        values = [c[metric].value for c in eligible]
        own = math.log(contender[metric].value)
        higher = metric.direction == "higher"
        made[metric] = own - math.log(max(values)) if higher else math.log(min(values)) - own
    return made


def _room(
    ordered: Sequence[str], logs: Mapping[str, Mapping[Metric, float]], weights: Weights
) -> tuple[Room, ...]:
    """The winner's lead over a rival is linear in each weight, so the turning point is exact."""
    if len(ordered) < 2:
        return ()
    return tuple(_room_of(metric, ordered, logs, weights) for metric in weights)


def _room_of(
    moved: Metric,
    ordered: Sequence[str],
    logs: Mapping[str, Mapping[Metric, float]],
    weights: Weights,
) -> Room:
    winner = logs[ordered[0]]
    lowest, highest, below, above = 0.0, math.inf, "", ""
    for rival in ordered[1:]:
        gains = {metric: winner[metric] - logs[rival][metric] for metric in weights}
        lead = sum(weights[metric] * gain for metric, gain in gains.items())
        if gains[moved] == 0:
            continue
        turn = weights[moved] - lead / gains[moved]
        if gains[moved] > 0 and turn > lowest:
            lowest, below = turn, rival
        if gains[moved] < 0 and turn < highest:
            highest, above = turn, rival
    return Room(moved, weights[moved], lowest, highest, below, above)


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
