"""The evidence that the numbers are valid: rounds, disturbances, self-checks, peak rates."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pandas as pd

from bench.records.trial import TrialRecord
from reports.analysis.rankings import Ranking
from reports.analysis.runs import Source
from reports.analysis.slices import MOST_SLICES, Timeline, timeline_of, training
from reports.analysis.trials import CONTENDER_COORDINATES, contender_label
from reports.display import TO, Write, count, fixed, listed, plain, shown, significant, span
from reports.document import Chart, Column, Part, Section, Table
from reports.figures.gallery import SLICES, Gallery

_PERCENT = fixed(1, 100)
_GIGA = significant(3, 1e-9)
_MOST_NAMED = 5


def rounds_sections(
    rankings: Sequence[Ranking], gallery: Gallery, sources: Sequence[Source]
) -> list[Section]:
    """Return the section on trials that took turns; none if all were measured alone."""
    ended_well = [r for source in sources for r in source.run.trials if r.outcome == "ok"]
    in_rounds = [r for r in ended_well if r.rounds_began_at is not None]
    if not in_rounds:
        return []
    parts = [
        _rounds_part(ranking, place, gallery, timeline)
        for place, ranking in enumerate(rankings)
        if (timeline := timeline_of(ranking.measured))
    ]
    caveats = tuple(_caveats(rankings))
    return [
        Section(
            "rounds",
            "Measured in rounds",
            (Part(paragraphs=caveats), *parts) if caveats else tuple(parts),
            _rounds_intro(ended_well, in_rounds, sources),
            reference=True,
        )
    ]


def _rounds_intro(
    ended_well: Sequence[TrialRecord], in_rounds: Sequence[TrialRecord], sources: Sequence[Source]
) -> str:
    trials = count(len(ended_well), "trial")
    who = "All" if len(in_rounds) == len(ended_well) else f"{len(in_rounds):,} of"
    rounds = [len(training(record)) for record in in_rounds]
    return (
        f"{who} {trials} took turns: in each round, every contender of a repeat trained one short "
        "slice, in random order, while the others were paused. There were "
        f"{span(min(rounds), max(rounds), fixed(0))} rounds per repeat and "
        f"{count(sum(rounds), 'slice')} in all. {_replaced(sources)}"
    )


def _replaced(sources: Sequence[Source]) -> str:
    """Say how many slices were disturbed, and how many of them another round replaced."""
    disturbed = missing = 0
    for source in sources:
        for record in source.run.trials:
            if record.outcome == "ok" and record.rounds_began_at is not None:
                slices = training(record)
                flagged = sum(bool(each.flags) for each in slices)
                wanted = min(source.run.manifest.rounds, len(slices))
                disturbed += flagged
                missing += max(0, wanted - (len(slices) - flagged))
    if not disturbed:
        return "None was disturbed."
    replaced = f"{disturbed - missing:,}" if missing else "all"
    replaced = "none" if missing == disturbed else replaced
    return (
        f"{disturbed:,} of them were disturbed and do not count; further rounds replaced "
        f"{replaced} of these."
    )


def _caveats(rankings: Sequence[Ranking]) -> Iterator[str]:
    """Yield what the reader must know about trials that were measured in another way."""
    contenders = [contender for ranking in rankings for contender in ranking.measured]
    ended_well = [record for contender in contenders for record in contender.records]
    alone = Counter(
        contender.label
        for contender in contenders
        for record in contender.records
        if record.rounds_began_at is None
    )
    if alone:
        named = list(alone) if len(alone) <= _MOST_NAMED else [f"{len(alone)} contenders"]
        yield (
            f"{count(alone.total(), 'trial')} of {listed(named)} ran alone, one after the other "
            "instead of in turns. If the machine's speed changed meanwhile, that looks like a "
            "difference between contenders."
        )
    cold = sum(record.is_cold for record in ended_well)
    if cold < len(ended_well):
        yield (
            "Import, build, compilation and cold start are from the "
            f"{count(cold, 'trial')} that started alone and with empty caches."
        )
    trained = sum(record.test_accuracy is not None for record in ended_well)
    if trained < len(ended_well):
        yield (
            "Accuracy, final loss and training time are from the "
            f"{count(trained, 'trial')} that trained all epochs."
        )


def _rounds_part(ranking: Ranking, place: int, gallery: Gallery, timeline: Timeline) -> Part:
    drawn = timeline_of(ranking.measured, MOST_SLICES) or timeline
    caption = f"{SLICES.caption} A row reaches {100 * drawn.reach:g} % above and below the median."
    if drawn.every > 1:
        caption += f" Only one round in {drawn.every} is drawn."
    return Part(
        heading=ranking.title,
        picture=gallery.get((SLICES.name, place)),
        table=_slices(ranking, timeline),
        chart=Chart("slices", f"{SLICES.title}: {ranking.title}", caption),
        ranking=place,
    )


def _slices(ranking: Ranking, timeline: Timeline) -> Table:
    columns = (
        Column("Contender"),
        Column("Repeats", number=True),
        Column("Slices", number=True),
        Column("Disturbed", number=True),
        Column(f"p5{TO}p95, % of the median", number=True),
    )
    rows, subjects = [], []
    for place, (contender, track) in enumerate(zip(ranking.measured, timeline.tracks, strict=True)):
        if track.dots:
            disturbed = sum(bool(dot.flags) for dot in track.dots)
            low, high = np.percentile(track.shares or [np.nan], (5, 95)).tolist()
            cells = (f"{len({dot.span for dot in track.dots}):,}", f"{len(track.dots):,}")
            reach = span(low, high, fixed(0, 100))
            rows.append((contender.label, *cells, f"{disturbed:,}", reach))
            subjects.append(place)
    caption = f"{ranking.title}: slices of training of each contender"
    return Table(caption, columns, tuple(rows), tuple(subjects))


def measurement_sections(sources: Sequence[Source], trials: pd.DataFrame) -> list[Section]:
    """Return the section on noise and self-checks; none for records without noise."""
    records = [record for source in sources for record in source.run.trials]
    is_known = [bool(r.noise) and r.outcome in ("ok", "mistimed") for r in records]
    if not any(is_known):
        return []
    retries = [len(record.noise.attempts) if record.noise else 0 for record in records]
    known = trials.assign(retries=retries, clock=[_clock(record) for record in records])[is_known]
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


def _clock(record: TrialRecord) -> float:
    """Return the seconds during which disturbances were watched; NaN if they are unknown."""
    seconds = sum(each.seconds for each in training(record))
    return seconds or record.train_seconds or np.nan


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
    seconds = trials["clock"].where(trials["clock"] != 0)
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
