"""The evidence that the numbers are valid: disturbances, self-checks, the limit of the device."""

from collections.abc import Iterator, Sequence

import pandas as pd

from reports.analysis.runs import Source
from reports.analysis.trials import CONTENDER_COORDINATES, contender_label
from reports.display import count, fixed, listed, plain, shown, significant
from reports.document import Column, Part, Section, Table

_PERCENT = fixed(1, 100)
_GIGA = significant(3, 1e-9)


def measurement_sections(sources: Sequence[Source], trials: pd.DataFrame) -> list[Section]:
    """Return the section on noise and self-checks; none for records without noise."""
    records = [record for source in sources for record in source.run.trials]
    is_known = [bool(r.noise) and r.outcome in ("ok", "mistimed") for r in records]
    if not any(is_known):
        return []
    retries = [len(record.noise.attempts) if record.noise else 0 for record in records]
    known = trials.assign(retries=retries)[is_known]
    tables = [_noise(known), _limits(known)]
    parts = tuple(Part(table=table) for table in tables)
    return [Section("measurement", "Noise and self-checks", parts, _intro(known), reference=True)]


def _intro(trials: pd.DataFrame) -> str:
    flagged = trials["noise_flags"] != ""
    flags = {flag for text in trials["noise_flags"][flagged].unique() for flag in text.split("; ")}
    mistimed = int((trials["outcome"] == "mistimed").sum())
    accompanied = int((trials["other_runs"] > 0).sum())
    others = f" {count(accompanied, 'trial')} ran while another run measured on the machine."
    return (
        f"{flagged.sum()} of {count(len(trials), 'trial')} stayed disturbed"
        f"{f' ({listed(sorted(flags))})' if flags else ''}; "
        f"{count(int(trials['retries'].sum()), 'measurement')} of disturbed trials "
        f"were retried. {count(mistimed, 'trial')} had a clock that cannot be right."
        f"{others if accompanied else ''}"
    )


def _by_contender(trials: pd.DataFrame) -> Iterator[tuple[tuple[str, str], pd.DataFrame]]:
    """Yield the names of a row, contender and place, with their trials."""
    keys = [*CONTENDER_COORDINATES, "model", "device", "precision"]
    for (*_, model, device, precision), own in trials.groupby(keys, sort=False):
        yield (contender_label(own.iloc[0]), plain(f"{model} on {device}, {precision}")), own


def _noise(trials: pd.DataFrame) -> Table:
    columns = (
        Column("Contender"),
        Column("Model and device"),
        Column("Disturbed", number=True),
        Column("Retried", number=True),
        Column("Other processes, % of a CPU", number=True),
        Column("Stolen, % of a CPU", number=True),
        Column("Slowest canary, x usual", number=True),
        Column("Involuntary switches per second", number=True),
        Column("CPUs used", number=True),
        Column("Left after the clock, ms", number=True),
    )
    rows = tuple((*names, *_noise_cells(own)) for names, own in _by_contender(trials))
    return Table("What disturbed the machine: the worst trial of each contender", columns, rows)


def _noise_cells(trials: pd.DataFrame) -> tuple[str, ...]:
    canaries = trials[["noise_canary_before_seconds", "noise_canary_after_seconds"]].max(axis=1)
    usual = trials["noise_canary_usual_seconds"]
    canary = (canaries / usual.where(usual != 0)).fillna(0).max()
    return (
        str((trials["noise_flags"] != "").sum()),
        str(trials["retries"].sum()),
        shown(_worst_rate(trials, "noise_train_other_seconds"), _PERCENT),
        shown(_worst_rate(trials, "noise_train_steal_seconds"), _PERCENT),
        shown(canary, fixed(2)),
        shown(_worst_rate(trials, "noise_train_involuntary_switches"), fixed(0)),
        shown(_worst_rate(trials, "noise_train_cpu_seconds"), fixed(2)),
        shown(trials["leftover_seconds"].max(), fixed(1, 1000)),
    )


def _worst_rate(trials: pd.DataFrame, column: str) -> float:
    """Return the largest value per second of the train phase."""
    seconds = trials["train_seconds"].where(trials["train_seconds"] != 0)
    return float((trials[column].astype("float64") / seconds).max())


def _limits(trials: pd.DataFrame) -> Table:
    columns = (
        Column("Contender"),
        Column("Model and device"),
        Column("Achieved, GFLOP/s", number=True),
        Column("Share of the peak, %", number=True),
        Column("Peak, GFLOP/s", number=True),
        Column("Peak reached by"),
        Column("Own best product, GFLOP/s", number=True),
    )
    rows = tuple((*names, *_limit_cells(own)) for names, own in _by_contender(trials))
    return Table("How close each contender came to the device's limit, medians", columns, rows)


def _limit_cells(trials: pd.DataFrame) -> tuple[str, ...]:
    backends = sorted(trials["limit_peak_backend"].dropna().unique())
    return (
        shown(trials["limit_achieved_flops_per_second"].median(), _GIGA),
        shown(trials["limit_share_of_peak"].median(), _PERCENT),
        shown(trials["limit_peak_flops_per_second"].median(), _GIGA),
        plain(listed(backends)) or "unknown",
        shown(trials["limit_own_peak_flops_per_second"].median(), _GIGA),
    )
