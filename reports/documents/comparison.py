"""A comparison as a document: a table, what differs between the runs, and the verdict in words."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from reports.analysis.comparison import Compared, compare
from reports.analysis.runs import Difference, Source, differences, is_same_machine, read_sources
from reports.display import NOT_KNOWN, count
from reports.document import Part, Report, Section, Table, numbers, texts
from reports.metrics import Metric

PASSED, REGRESSION, NOTHING, FAILED = 0, 1, 3, 4
_WORDS = {
    PASSED: "passed: no contender got worse by more than the gate allows",
    REGRESSION: "regression",
    NOTHING: "nothing to compare: no contender has two trials or more in both runs",
    FAILED: "failed: a contender of the old run fails in the new one, or is missing there",
}
_LOST = ("newly failing", "missing")
_COMPARED = ("better", "worse", "no measurable difference")


class Gate(NamedTuple):
    """Two runs compared.

    Attributes:
        base: the old run.
        new: the new one.
        compared: contender by contender.
        differences: what else differs between the runs.
        same_machine: whether the ratios are of one machine.
    """

    base: Source
    new: Source
    compared: tuple[Compared, ...]
    differences: tuple[Difference, ...]
    same_machine: bool

    @property
    def status(self) -> int:
        """The exit status: regression before failure before nothing to compare."""
        verdicts = {one.verdict for one in self.compared}
        if any(one.is_regression for one in self.compared):
            return REGRESSION
        if verdicts & set(_LOST):
            return FAILED
        return PASSED if verdicts & set(_COMPARED) else NOTHING


def gate_of(base: Path, new: Path, metrics: Sequence[Metric], fail_on: float) -> Gate:
    """Read and compare two runs.

    Raises:
        bench.errors.RecordError: a folder holds no run.
    """
    (old,), (recent,) = read_sources([base]), read_sources([new])
    return Gate(
        base=old,
        new=recent,
        compared=tuple(compare(old, recent, metrics, fail_on)),
        differences=tuple(differences(old.run, recent.run)),
        same_machine=is_same_machine(old.run, recent.run),
    )


def verdict_words(gate: Gate) -> str:
    """Return the outcome as a sentence."""
    if gate.status != REGRESSION:
        return _WORDS[gate.status].capitalize() + "."
    worse = [one for one in gate.compared if one.is_regression]
    named = "; ".join(
        f"{one.contender}, {one.setting}, {one.metric.title.lower()}" for one in worse
    )
    return f"{count(len(worse), 'regression')}: {named}."


def comparison_table(gate: Gate) -> Table:
    """Return a table with one row per contender and metric."""
    columns = (
        *texts("Contender", "Model and setting", "Quantity"),
        *numbers("Old", "New", "New / old", "95 % interval"),
        *texts("Verdict"),
    )
    return Table("The new run against the old one", columns, tuple(map(_row, gate.compared)))


def _row(one: Compared) -> tuple[str, ...]:
    ratio, interval = NOT_KNOWN, NOT_KNOWN
    if one.ratio is not None:
        ratio = f"{one.ratio.estimate:.3f}"
        if one.ratio.is_known:
            interval = f"{one.ratio.low:.3f} to {one.ratio.high:.3f}"
    verdict = f"{one.verdict} ({one.reason})" if one.reason else one.verdict
    return (
        one.contender,
        one.setting,
        one.metric.heading,
        one.metric.show(one.base),
        one.metric.show(one.new),
        ratio,
        interval,
        f"{verdict}: regression" if one.is_regression else verdict,
    )


def report_of(gate: Gate) -> Report:
    """Return the comparison as a document."""
    rows = tuple(gate.differences)
    columns = texts("What", "Old run", "New run")
    differing = Part(table=Table("What differs between the runs", columns, rows))
    found = "" if rows else "Nothing that is recorded differs in machine, versions or settings."
    contenders = Part(table=comparison_table(gate))
    sections = (
        Section("comparison", "Contenders", (contenders,), _caveat(gate)),
        Section("differences", "What differs between the runs", (differing,), found),
    )
    return Report(f"{gate.new.name} against {gate.base.name}", verdict_words(gate), sections)


def _caveat(gate: Gate) -> str:
    ratios = sum(one.verdict in _COMPARED for one in gate.compared)
    corrected = (
        f"An interval is a pair's own; verdicts are corrected for all {ratios} comparisons, so "
        "that one run in twenty at most holds a false one. "
    )
    machines = (
        "The runs are from different machines: a ratio here is that of the machines and of every "
        "other change together."
    )
    return ((corrected if ratios > 1 else "") + ("" if gate.same_machine else machines)).strip()


def as_value(gate: Gate) -> dict[str, Any]:
    """Return plain values for JSON."""
    return {
        "base": gate.base.name,
        "new": gate.new.name,
        "status": gate.status,
        "verdict": verdict_words(gate),
        "same_machine": gate.same_machine,
        "compared": [_value(one) for one in gate.compared],
        "differences": [
            {"what": what, "base": old, "new": new} for what, old, new in gate.differences
        ],
    }


def _value(one: Compared) -> dict[str, Any]:
    ratio = one.ratio
    known = ratio is not None and ratio.is_known
    return {
        "contender": one.contender,
        "setting": one.setting,
        "metric": one.metric.key,
        "base": one.base,
        "new": one.new,
        "ratio": ratio.estimate if ratio is not None else None,
        "low": ratio.low if ratio is not None and known else None,
        "high": ratio.high if ratio is not None and math.isfinite(ratio.high) else None,
        "verdict": one.verdict,
        "reason": one.reason or None,
        "is_regression": one.is_regression,
    }
