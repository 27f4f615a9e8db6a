"""Decisions on the rankings of runs, for the terminal and as JSON."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from reports.analysis.rankings import Ranking, rankings_of
from reports.analysis.runs import read_sources
from reports.analysis.weighing import Decision, Limit, Room, Weights, decide
from reports.display import listed, significant

_SMALLEST = 0.005  # a weight below this is practically none


class Choice(NamedTuple):
    """A ranking and the decision on its contenders."""

    ranking: Ranking
    weights: Weights
    decision: Decision

    def as_value(self) -> dict[str, Any]:
        """Return plain values for JSON; an unlimited weight is null."""
        return {
            "ranking": self.ranking.title,
            "choices": dict(self.ranking.choices),
            "weights": {metric.key: weight for metric, weight in self.weights.items()},
            "ranked": [
                {
                    "contender": contender.label,
                    "score": score,
                    "values": {m.key: contender[m].value for m in self.weights},
                }
                for contender, score in self.decision.ranked
            ],
            "excluded": {c.label: reason for c, reason in self.decision.excluded},
            "room": [_room_value(room) for room in self.decision.room],
        }


def decisions(
    folders: Sequence[Path], weights: Weights, limits: Sequence[Limit] = ()
) -> list[Choice]:
    """Return the decision for each ranking of the runs.

    Raises:
        bench.errors.RecordError: a folder holds no run.
    """
    return [
        Choice(ranking, weights, decide(ranking.measured, weights, limits))
        for ranking in rankings_of(read_sources(folders))
    ]


def score_rows(choice: Choice) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return the header and one row per contender, the best first."""
    metrics = list(choice.weights)
    rows = [
        (contender.label, f"{score:.3f}", *(m.show(contender[m].value) for m in metrics))
        for contender, score in choice.decision.ranked
    ]
    return ("contender", "score", *(metric.heading for metric in metrics)), rows


def notes(choice: Choice) -> Iterator[str]:
    """Yield how far each weight can move, and which contenders are excluded."""
    for room in choice.decision.room:
        yield f"weight of {room.metric.title.lower()} {room.weight:g}: {_room_words(room)}"
    for contender, reason in choice.decision.excluded:
        yield f"left out: {contender.label}, {reason}"


def _room_words(room: Room) -> str:
    ends = [
        *([f"below {_weight(room.lowest)} {room.below} wins"] if room.lowest >= _SMALLEST else []),
        *([f"above {_weight(room.highest)} {room.above} wins"] if room.above else []),
    ]
    return listed(ends) or "any gives the same winner"


_weight = significant(2)


def _room_value(room: Room) -> dict[str, Any]:
    return {
        "metric": room.metric.key,
        "weight": room.weight,
        "lowest": room.lowest,
        "highest": room.highest if math.isfinite(room.highest) else None,
        "wins_below": room.below or None,
        "wins_above": room.above or None,
    }
