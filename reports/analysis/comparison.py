"""Compare a new run with an old one, contender by contender, and say whether the gate holds."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from statistics import median
from typing import Any, Literal

from bench.records.trial import TrialRecord, attribute_of
from bench.statistics.families import holm
from bench.statistics.ratios import Ratio, independent_ratio
from reports.analysis.frames import RANKING, fingerprint
from reports.analysis.runs import Source
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

# Whatever these two differ in, a contender is the same; a machine that differs is told apart.
_KEY = (*(name for name in RANKING if name not in ("machine", "spec")), "backend", "mode")
_KEY_OF: Callable[[TrialRecord], tuple[Any, ...]] = attrgetter(*map(attribute_of, _KEY))
_ALWAYS = ("model", "device", "backend", "mode")


@dataclass(frozen=True)
class Compared:
    """A contender's quantity in the new run against the old one.

    Attributes:
        contender: backend and mode.
        setting: model, device and what else it was asked with.
        metric: the quantity.
        base: median of the old run's trials; None where there is none.
        new: of the new run's.
        ratio: new to base with its interval; None where one has no value.
        verdict: what can be said.
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
    """A contender's records in both runs."""

    key: tuple[Any, ...]
    base: Sequence[TrialRecord]
    new: Sequence[TrialRecord]


def compare(
    base: Source, new: Source, metrics: Sequence[Metric], fail_on: float = 0.05
) -> list[Compared]:
    """Every contender of either run, metric by metric, the old run's order first.

    A difference is claimed when it is beyond chance after Holm's correction over all that is
    compared here.

    Args:
        base: the old run.
        new: the new run.
        metrics: quantities with a better direction.
        fail_on: how much worse is a regression: 0.05 is 5 %.
    """
    unlike = _unlike_specs(base, new)
    pairs = _pairs(base, new)
    varied = _varied(pairs)
    made = [_first(pair, metric, unlike, varied) for metric in metrics for pair in pairs]
    known = [one for one in made if one.ratio is not None and one.ratio.is_known]
    p_values = holm([one.ratio.p_value for one in known if one.ratio is not None])
    corrected = {id(one): value for one, value in zip(known, p_values, strict=True)}
    return [_judged(one, corrected.get(id(one)), fail_on) for one in made]


def _pairs(base: Source, new: Source) -> list[_Pair]:
    sides = [_by_contender(source) for source in (base, new)]
    keys = dict.fromkeys(key for side in sides for key in side)
    return [_Pair(key, sides[0].get(key, ()), sides[1].get(key, ())) for key in keys]


def _by_contender(source: Source) -> Mapping[tuple[Any, ...], list[TrialRecord]]:
    made: dict[tuple[Any, ...], list[TrialRecord]] = {}
    for trial in source.run.trials:
        made.setdefault(_KEY_OF(trial), []).append(trial)
    return made


def _unlike_specs(base: Source, new: Source) -> set[str]:
    """Models that are in both runs but whose spec, optimizer or data differ."""
    both = base.run.manifest.models.keys() & new.run.manifest.models.keys()
    return {name for name in both if fingerprint(base.run, name) != fingerprint(new.run, name)}


def _first(pair: _Pair, metric: Metric, unlike: set[str], varied: set[str]) -> Compared:
    """What can be told before the ratios are corrected for their number."""
    values = [_values(records, metric) for records in (pair.base, pair.new)]
    verdict, reason = _obstacle(pair, values, pair.key[_KEY.index("model")] in unlike)
    ratio = None
    if not verdict:
        ratio = independent_ratio(values[1], values[0])
    contender, setting = _told(pair.key, varied)
    return Compared(
        contender=contender,
        setting=setting,
        metric=metric,
        base=_median(values[0]),
        new=_median(values[1]),
        ratio=ratio,
        verdict=verdict or "too few trials",
        reason=reason,
    )


def _told(key: tuple[Any, ...], varied: set[str]) -> tuple[str, str]:
    """The contender; and its model, device and what tells it from the others of the two runs."""
    told = dict(zip(_KEY, key, strict=True))
    shown = [name for name in _KEY if name in varied and name not in _ALWAYS]
    words = [f"{name.replace('_', ' ')} {told[name]}" for name in shown]
    setting = ", ".join([f"{told['model']} on {told['device']}", *words])
    return plain(f"{told['backend']} {told['mode']}"), plain(setting)


def _varied(pairs: Sequence[_Pair]) -> set[str]:
    """The fields in which what is compared differs."""
    keys = [pair.key for pair in pairs]
    return {name for place, name in enumerate(_KEY) if len({key[place] for key in keys}) > 1}


def _values(records: Sequence[TrialRecord], metric: Metric) -> list[float]:
    """Of the trials that ended well; a logarithm needs more than nothing."""
    found = [metric.of(record) for record in records if record.outcome == "ok"]
    return [value for value in found if value is not None and value > 0 and math.isfinite(value)]


def _median(values: Sequence[float]) -> float | None:
    return median(values) if values else None


def _obstacle(
    pair: _Pair, values: Sequence[Sequence[float]], is_unlike: bool
) -> tuple[Verdict | Literal[""], str]:
    """Why the two cannot be compared; empty if they can."""
    if not pair.new:
        return "missing", "the new run holds no such trial"
    if not pair.base:
        return "new", "the old run holds no such trial"
    ended = [any(record.outcome == "ok" for record in side) for side in (pair.base, pair.new)]
    if not ended[1]:
        return ("newly failing" if ended[0] else "failing in both"), _failure(pair.new)
    if not ended[0]:
        return "now measured", _failure(pair.base)
    if is_unlike:
        return "not comparable", "spec, optimizer or data differ"
    if any(record.equivalence == "failed" for record in (*pair.base, *pair.new)):
        return "not comparable", "its certificate of equal work failed"
    if not all(values):
        return "not comparable", "not known in both runs"
    return "", ""


def _failure(records: Sequence[TrialRecord]) -> str:
    last = records[-1]
    return plain(f"{last.outcome}: {last.reason or 'no reason was recorded'}")


def _judged(one: Compared, p_value: float | None, fail_on: float) -> Compared:
    if one.ratio is None or p_value is None:
        return one
    found = one.ratio.verdict(p_value=p_value)
    if found == "no measurable difference":
        return replace(one, verdict="no measurable difference")
    if found == one.metric.direction:
        return replace(one, verdict="better")
    worse_by = abs(one.ratio.estimate - 1)
    return replace(one, verdict="worse", is_regression=worse_by > fail_on)
