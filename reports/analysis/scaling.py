"""Scaling: throughput where a run swept the batch size, the threads or the device."""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

from bench.statistics.families import Family
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
        families: the comparison of each value's ranking, corrected for the number of rankings.
        places: by contender, its place in each comparison; None where it was not measured.
    """

    key: str
    title: str
    values: tuple[str, ...]
    rankings: tuple[int, ...]
    spreads: Mapping[str, tuple[Spread | None, ...]]
    families: tuple[Family, ...]
    places: Mapping[str, tuple[int | None, ...]]

    def crossovers(self) -> list[Crossover]:
        """Return where one contender overtakes another: it is shown to be slower, then faster.

        Between the two may lie settings at which the order is not clear or one was not measured.
        """
        return [
            Crossover(after, before, self.values[left], self.values[right])
            for pair in combinations(self.places, 2)
            for (left, before), (right, after) in pairwise(self._clear_orders(*pair))
            if before != after
        ]

    def _clear_orders(self, one: str, other: str) -> list[tuple[int, str]]:
        """Return the settings at which one contender is shown to be faster, and which one."""
        winners = {"faster": one, "slower": other}
        places = zip(self.families, self.places[one], self.places[other], strict=True)
        verdicts = [
            None if left is None or right is None else family.verdict(left, right)
            for family, left, right in places
        ]
        return [
            (position, winners[verdict])
            for position, verdict in enumerate(verdicts)
            if verdict in winners
        ]


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
    swept = [rankings[place] for place in found.values()]
    members = [{c.label: c for c in ranking.contenders} for ranking in swept]
    timed = [{c.label: place for place, c in enumerate(ranking.timed)} for ranking in swept]
    labels = dict.fromkeys(label for contenders in members for label in contenders)
    spreads = {
        label: tuple(_throughput(contenders.get(label)) for contenders in members)
        for label in labels
    }
    families = tuple(
        ranking.family._replace(significance=ranking.family.significance / len(swept))
        for ranking in swept
    )
    places = {label: tuple(own.get(label) for own in timed) for label in labels}
    choices = swept[0].choices
    words = [f"{choices['model']}", *([] if key == "device" else [f"on {choices['device']}"])]
    fixed = [f"{SWEPT[name]} {choices[name]}" for name in ("batch_size", "threads") if name != key]
    title = f"{SWEPT[key].capitalize()}: {' '.join(words)}, {listed(fixed)}"
    return Sweep(key, title, tuple(found), tuple(found.values()), spreads, families, places)


def _throughput(contender: Contender | None) -> Spread | None:
    if contender is None or not math.isfinite(contender[THROUGHPUT].value):
        return None
    return contender[THROUGHPUT]
