"""Compare a new run with an old one, contender by contender, and find regressions."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any, Literal

import pandas as pd

from bench.statistics.families import holm
from bench.statistics.ratios import Ratio, independent_ratio
from reports.analysis.runs import Source
from reports.analysis.trials import CONTENDER_COORDINATES, RANKING, contender_label, trial_frame
from reports.display import plain
from reports.metrics import Metric

Verdict = Literal[
    "better",
    "worse",
    "no measurable difference",
    "too few trials",
    "not comparable",
    "newly failing",
    "failing in both",
    "now measured",
    "missing",
    "new",
]

# A contender is the same on another machine or with another spec; both are reported.
_KEY = (*(name for name in RANKING if name not in ("machine", "spec")), *CONTENDER_COORDINATES)


@dataclass(frozen=True)
class Compared:
    """A contender's quantity in the new run against the old one.

    Attributes:
        contender: its name.
        setting: model, device and the settings in which the compared contenders differ.
        metric: the quantity.
        base: median of the old run's trials; None without trials.
        new: median of the new run's trials; None without trials.
        ratio: new to base with its interval; None if one has no value.
        verdict: the result.
        reason: why it cannot be compared, or why it failed.
        is_regression: worse by more than the gate allows, beyond chance.
    """

    contender: str
    setting: str
    metric: Metric
    base: float | None
    new: float | None
    ratio: Ratio | None
    verdict: Verdict
    reason: str = ""
    is_regression: bool = False


@dataclass(frozen=True)
class _Pair:
    """A contender's trials in both runs.

    Attributes:
        coordinates: its value of each column in `_KEY`.
        base: its trials in the old run, one row each.
        new: its trials in the new run.
    """

    coordinates: Mapping[str, Any]
    base: pd.DataFrame
    new: pd.DataFrame


def compare(
    base: Source, new: Source, metrics: Sequence[Metric], fail_on: float = 0.05
) -> list[Compared]:
    """Compare every contender of either run, metric by metric, in the old run's order.

    A difference is claimed when it is beyond chance after Holm's correction over all comparisons.

    Args:
        base: the old run.
        new: the new run.
        metrics: quantities with a better direction.
        fail_on: how much worse is a regression: 0.05 is 5 %.
    """
    pairs = _pairs(base, new)
    varied = {name for name in _KEY if len({pair.coordinates[name] for pair in pairs}) > 1}
    compared = [_uncorrected(pair, metric, varied) for metric in metrics for pair in pairs]
    known = [one for one in compared if one.ratio is not None and one.ratio.is_known]
    p_values = holm([one.ratio.p_value for one in known if one.ratio is not None])
    corrected = {id(one): value for one, value in zip(known, p_values, strict=True)}
    return [_with_verdict(one, corrected.get(id(one)), fail_on) for one in compared]


def _pairs(base: Source, new: Source) -> list[_Pair]:
    sides = [trial_frame([source]) for source in (base, new)]
    both = pd.concat(sides, keys=("base", "new"))
    return [
        _Pair(
            coordinates={name: _known(own[name].iloc[0]) for name in _KEY},
            base=own[own.index.get_level_values(0) == "base"],
            new=own[own.index.get_level_values(0) == "new"],
        )
        for _, own in both.groupby(list(_KEY), dropna=False, sort=False)
    ]


def _known(value: Any) -> Any:
    return None if pd.isna(value) else value


def _uncorrected(pair: _Pair, metric: Metric, varied: set[str]) -> Compared:
    """Return what can be said before the p-values are corrected for their number."""
    values = [_values(trials, metric) for trials in (pair.base, pair.new)]
    verdict, reason = _obstacle(pair, values)
    return Compared(
        contender=contender_label(pair.coordinates),
        setting=_setting(pair.coordinates, varied),
        metric=metric,
        base=_median(values[0]),
        new=_median(values[1]),
        ratio=None if verdict else independent_ratio(values[1], values[0]),
        verdict=verdict or "too few trials",
        reason=reason,
    )


def _setting(coordinates: Mapping[str, Any], varied: set[str]) -> str:
    """Name the model, the device and what distinguishes the contender in the two runs."""
    silent = ("model", "device", *CONTENDER_COORDINATES)
    shown = [name for name in _KEY if name in varied and name not in silent]
    words = [f"{name.replace('_', ' ')} {coordinates[name]}" for name in shown]
    return plain(", ".join([f"{coordinates['model']} on {coordinates['device']}", *words]))


def _values(trials: pd.DataFrame, metric: Metric) -> list[float]:
    """Return the values of the trials that ended well; only positive ones have a logarithm."""
    values = metric.of(trials[trials["outcome"] == "ok"]).to_numpy(float, na_value=math.nan)
    return [value for value in values.tolist() if 0 < value < math.inf]


def _median(values: Sequence[float]) -> float | None:
    return median(values) if values else None


def _obstacle(pair: _Pair, values: Sequence[Sequence[float]]) -> tuple[Verdict | Literal[""], str]:
    """Return why the two cannot be compared; empty if they can."""
    if pair.new.empty:
        return "missing", "the new run contains no such trial"
    if pair.base.empty:
        return "new", "the old run contains no such trial"
    ended = [bool((side["outcome"] == "ok").any()) for side in (pair.base, pair.new)]
    if not ended[1]:
        return ("newly failing" if ended[0] else "failing in both"), _failure(pair.new)
    if not ended[0]:
        return "now measured", _failure(pair.base)
    if pair.base["spec"].iloc[0] != pair.new["spec"].iloc[0]:
        return "not comparable", "spec, optimizer or data differ"
    if any((side["equivalence"] == "failed").any() for side in (pair.base, pair.new)):
        return "not comparable", "its certificate of equal work failed"
    if not all(values):
        return "not comparable", "not known in both runs"
    return "", ""


def _failure(trials: pd.DataFrame) -> str:
    outcome, reason = trials["outcome"].iloc[-1], _known(trials["reason"].iloc[-1])
    return plain(f"{outcome}: {reason or 'no reason was recorded'}")


def _with_verdict(one: Compared, p_value: float | None, fail_on: float) -> Compared:
    if one.ratio is None or p_value is None:
        return one
    verdict = one.ratio.verdict(p_value=p_value)
    if verdict == "no measurable difference":
        return replace(one, verdict="no measurable difference")
    if verdict == one.metric.direction:
        return replace(one, verdict="better")
    worse_by = abs(one.ratio.estimate - 1)
    return replace(one, verdict="worse", is_regression=worse_by > fail_on)
