"""The evidence that the numbers are valid: disturbances, self-checks, the limit of the device."""

from collections.abc import Iterable, Sequence

import pandas as pd

from reports.analysis.runs import Source
from reports.analysis.trials import CONTENDER_COORDINATES, contender_label
from reports.display import Write, count, fixed, listed, plain, shown, significant
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
    retries = int(trials["retries"].sum())
    accompanied = int((trials["other_runs"] > 0).sum())
    others = f" {count(accompanied, 'trial')} ran while another run measured on the machine."
    return (
        f"{flagged.sum()} of {count(len(trials), 'trial')} stayed disturbed"
        f"{f' ({listed(sorted(flags))})' if flags else ''}; "
        f"{count(retries, 'measurement')} of disturbed trials "
        f"{'was' if retries == 1 else 'were'} retried. "
        f"{count(mistimed, 'trial')} had a clock that cannot be right."
        f"{others if accompanied else ''}"
    )


_KEYS = [*CONTENDER_COORDINATES, "model", "device", "precision"]


def _rows(names: pd.DataFrame, cells: Iterable[tuple[str, ...]]) -> tuple[tuple[str, ...], ...]:
    """Return the rows of a table, each with contender and place first."""
    keys = names.index.to_frame().to_dict("records")
    return tuple(
        (contender_label(key), plain("{model} on {device}, {precision}".format(**key)), *own)
        for key, own in zip(keys, cells, strict=True)
    )


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
    seconds = trials["train_seconds"].where(trials["train_seconds"] != 0)
    canaries = trials[["noise_canary_before_seconds", "noise_canary_after_seconds"]].max(axis=1)
    usual = trials["noise_canary_usual_seconds"]
    values = pd.DataFrame(
        {
            "disturbed": trials["noise_flags"] != "",
            "retries": trials["retries"],
            "others": trials["noise_train_other_seconds"] / seconds,
            "stolen": trials["noise_train_steal_seconds"] / seconds,
            "canary": (canaries / usual.where(usual != 0)).fillna(0),
            "switches": trials["noise_train_involuntary_switches"].astype("float64") / seconds,
            "cpus": trials["noise_train_cpu_seconds"] / seconds,
            "leftover": trials["leftover_seconds"],
        }
    )
    totals = {"disturbed": "sum", "retries": "sum"}
    worst = values.groupby([trials[key] for key in _KEYS], sort=False).agg(
        {name: totals.get(name, "max") for name in values}
    )
    formats: tuple[Write, ...] = (
        str,
        str,
        _PERCENT,
        _PERCENT,
        fixed(2),
        fixed(0),
        fixed(2),
        fixed(1, 1000),
    )
    cells = (tuple(map(shown, row, formats)) for row in worst.itertuples(index=False, name=None))
    rows = _rows(worst, cells)
    return Table("What disturbed the machine: the worst trial of each contender", columns, rows)


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
    groups = trials.groupby(_KEYS, sort=False)
    names = ("achieved_flops_per_second", "share_of_peak", "peak_flops_per_second")
    rates = [f"limit_{name}" for name in (*names, "own_peak_flops_per_second")]
    medians = groups[rates].median()
    backends = groups["limit_peak_backend"].unique()
    formats = (_GIGA, _PERCENT, _GIGA, _GIGA)
    cells = (
        _with_backends(tuple(map(shown, row, formats)), reached)
        for row, reached in zip(medians.itertuples(index=False, name=None), backends, strict=True)
    )
    rows = _rows(medians, cells)
    return Table("How close each contender came to the device's limit, medians", columns, rows)


def _with_backends(cells: tuple[str, ...], backends: Iterable[str | None]) -> tuple[str, ...]:
    """Return the cells of a row with the backends that reached the peak before the last one."""
    known = sorted(backend for backend in backends if isinstance(backend, str))
    return (*cells[:-1], plain(listed(known)) or "unknown", cells[-1])
