"""The evidence that the numbers hold: disturbances, self-checks, the limit of the device."""

from collections.abc import Callable, Iterator, Sequence
from statistics import median

from bench.records.trial import Noise, TrialRecord
from reports.analysis.runs import Source
from reports.display import count, fixed, listed, plain, shown, significant
from reports.document import Column, Part, Section, Table

_PERCENT = fixed(1, 100)
_GIGA = significant(3, 1e-9)


def measurement_sections(sources: Sequence[Source]) -> list[Section]:
    """The section on noise and self-checks; none of runs whose records do not tell."""
    records = [record for source in sources for record in source.run.trials]
    told = [record for record in records if record.noise and record.outcome in ("ok", "mistimed")]
    if not told:
        return []
    parts = (Part(table=_noise(told)), Part(table=_limits(told)))
    return [Section("measurement", "Noise and self-checks", parts, _intro(told), reference=True)]


def _intro(records: Sequence[TrialRecord]) -> str:
    flagged = [record for record in records if record.noise and record.noise.flags]
    repeated = sum(len(record.noise.attempts) for record in records if record.noise)
    mistimed = sum(record.outcome == "mistimed" for record in records)
    flags = listed(sorted({flag for r in flagged if r.noise for flag in r.noise.flags}))
    accompanied = sum(bool(record.other_runs) for record in records)
    beside = f" {count(accompanied, 'trial')} ran while another run measured on the machine."
    return (
        f"{len(flagged)} of {count(len(records), 'trial')} stayed disturbed"
        f"{f' ({flags})' if flags else ''}; {count(repeated, 'measurement')} of disturbed trials "
        f"were taken again. {count(mistimed, 'trial')} had a clock that cannot be right."
        f"{beside if accompanied else ''}"
    )


def _by_contender(
    records: Sequence[TrialRecord],
) -> Iterator[tuple[tuple[str, str], list[TrialRecord]]]:
    """The names of a row, contender and place, with their trials."""
    found: dict[tuple[str, ...], list[TrialRecord]] = {}
    for record in records:
        key: tuple[str, ...] = (
            *(record.job.backend, record.job.mode),
            *(record.job.model, record.job.device, record.job.precision),
        )
        found.setdefault(key, []).append(record)
    for key, own in found.items():
        backend, mode, model, device, precision = map(plain, key)
        yield (f"{backend} {mode}", f"{model} on {device}, {precision}"), own


def _noise(records: Sequence[TrialRecord]) -> Table:
    columns = (
        Column("Contender"),
        Column("Model and device"),
        Column("Disturbed", number=True),
        Column("Taken again", number=True),
        Column("Other processes, % of a CPU", number=True),
        Column("Stolen, % of a CPU", number=True),
        Column("Slowest canary, x usual", number=True),
        Column("Involuntary switches a second", number=True),
        Column("CPUs used", number=True),
        Column("Left after the clock, ms", number=True),
    )
    rows = tuple((*names, *_noise_cells(own)) for names, own in _by_contender(records))
    return Table("What the machine did meanwhile: the worst trial of each contender", columns, rows)


def _noise_cells(records: Sequence[TrialRecord]) -> tuple[str, ...]:
    noises = [record.noise for record in records if record.noise]
    shares = (
        _worst(records, lambda noise: noise.train_other_seconds),
        _worst(records, lambda noise: noise.train_steal_seconds),
    )
    switches = _worst(records, lambda noise: noise.train_involuntary_switches)
    leftovers = [r.leftover_seconds for r in records if r.leftover_seconds is not None]
    return (
        str(sum(bool(noise.flags) for noise in noises)),
        str(sum(len(noise.attempts) for noise in noises)),
        *(shown(share, _PERCENT) for share in shares),
        shown(max(map(_canary, noises), default=None), fixed(2)),
        shown(switches, fixed(0)),
        shown(_worst(records, lambda noise: noise.train_cpu_seconds), fixed(2)),
        shown(max(leftovers, default=None), fixed(1, 1000)),
    )


def _worst(records: Sequence[TrialRecord], part: Callable[[Noise], float | None]) -> float | None:
    """The largest over the trials, for each second of the train phase."""
    values = [
        value / record.train_seconds
        for record in records
        if record.noise and record.train_seconds and (value := part(record.noise)) is not None
    ]
    return max(values, default=None)


def _canary(noise: Noise) -> float:
    times = [noise.canary_before_seconds or 0.0, noise.canary_after_seconds or 0.0]
    return max(times) / noise.canary_usual_seconds if noise.canary_usual_seconds else 0.0


def _limits(records: Sequence[TrialRecord]) -> Table:
    columns = (
        Column("Contender"),
        Column("Model and device"),
        Column("Achieved, GFLOP/s", number=True),
        Column("Share of the peak, %", number=True),
        Column("Peak, GFLOP/s", number=True),
        Column("Peak reached by"),
        Column("Own best product, GFLOP/s", number=True),
    )
    rows = tuple((*names, *_limit_cells(own)) for names, own in _by_contender(records))
    return Table("How near each contender came to the device's limit, medians", columns, rows)


def _limit_cells(records: Sequence[TrialRecord]) -> tuple[str, ...]:
    limits = [record.limit for record in records if record.limit]
    sources = sorted({limit.peak_backend for limit in limits if limit.peak_backend})
    return (
        shown(_median(limit.achieved_flops_per_second for limit in limits), _GIGA),
        shown(_median(limit.share_of_peak for limit in limits), _PERCENT),
        shown(_median(limit.peak_flops_per_second for limit in limits), _GIGA),
        plain(listed(sources)) or "unknown",
        shown(_median(limit.own_peak_flops_per_second for limit in limits), _GIGA),
    )


def _median(values: Iterator[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None
