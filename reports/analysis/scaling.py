"""Scaling: throughput where a run swept the batch size, the threads or the device."""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

from reports.analysis.contenders import Contender, Spread
from reports.analysis.rankings import Ranking
from reports.display import listed
from reports.metrics import THROUGHPUT

SWEPT = {
    "batch_size": "batch size",
    "threads": "threads",
    "device": "device",
    "world_size": "world size",
    "hosts": "hosts",
}


@dataclass(frozen=True)
class Crossover:
    """Two contenders whose order turns between two settings, the nearest where it is clear."""

    overtaker: str
    overtaken: str
    before: str
    after: str


@dataclass(frozen=True)
class Sweep:
    """Rankings that differ in one setting only.

    Attributes:
        key: the record's field that was swept.
        title: what they have in common.
        values: the setting's values; numbers in order.
        rankings: the position of each value's ranking.
        spreads: throughput by contender, a value each; None where it was not measured.
    """

    key: str
    title: str
    values: tuple[str, ...]
    rankings: tuple[int, ...]
    spreads: Mapping[str, tuple[Spread | None, ...]]

    def crossovers(self) -> list[Crossover]:
        """Return where one contender overtakes another; ranges do not overlap on either side.

        Between the two may lie settings at which the order is not clear or one was not measured.
        """
        return [
            Crossover(after, before, self.values[left], self.values[right])
            for pair in combinations(self.spreads, 2)
            for (left, before), (right, after) in pairwise(self._clear_orders(*pair))
            if before != after
        ]

    def _clear_orders(self, one: str, other: str) -> list[tuple[int, str]]:
        """Return the settings at which one contender is faster beyond the ranges, and which one."""
        orders = []
        for position, (left, right) in enumerate(
            zip(self.spreads[one], self.spreads[other], strict=True)
        ):
            if _is_faster(left, right):
                orders.append((position, one))
            elif _is_faster(right, left):
                orders.append((position, other))
        return orders


def sweeps_of(rankings: Sequence[Ranking]) -> list[Sweep]:
    """Return all sweeps in the rankings."""
    return [sweep for key in SWEPT for sweep in _sweeps(key, rankings)]


def _sweeps(key: str, rankings: Sequence[Ranking]) -> Iterator[Sweep]:
    alike: defaultdict[tuple[str, ...], dict[str, int]] = defaultdict(dict)
    for position, ranking in enumerate(rankings):
        others = tuple(value for name, value in ranking.choices.items() if name != key)
        if ranking.contenders:
            alike[others][ranking.choices[key]] = position
    for found in alike.values():
        if len(found) > 1:
            yield _sweep(key, dict(sorted(found.items(), key=_order)), rankings)


def _order(item: tuple[str, int]) -> tuple[float, str]:
    value = item[0]
    return (float(value) if value.isdigit() else math.inf, value)


def _sweep(key: str, found: Mapping[str, int], rankings: Sequence[Ranking]) -> Sweep:
    members = [{c.label: c for c in rankings[place].contenders} for place in found.values()]
    labels = dict.fromkeys(label for contenders in members for label in contenders)
    spreads = {
        label: tuple(_throughput(contenders.get(label)) for contenders in members)
        for label in labels
    }
    choices = rankings[next(iter(found.values()))].choices
    words = [f"{choices['model']}", *([] if key == "device" else [f"on {choices['device']}"])]
    fixed = [f"{SWEPT[name]} {choices[name]}" for name in ("batch_size", "threads") if name != key]
    title = f"{SWEPT[key].capitalize()}: {' '.join(words)}, {listed(fixed)}"
    return Sweep(key, title, tuple(found), tuple(found.values()), spreads)


def _throughput(contender: Contender | None) -> Spread | None:
    if contender is None or not math.isfinite(contender[THROUGHPUT].median):
        return None
    return contender[THROUGHPUT]


def _is_faster(one: Spread | None, other: Spread | None) -> bool:
    return one is not None and other is not None and one.minimum > other.maximum
