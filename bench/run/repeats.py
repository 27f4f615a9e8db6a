"""`--repeats auto`: adds blocks until the ratios are exact enough or the time is over."""

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import msgspec

from bench.records.manifest import AutoRepeats, Manifest
from bench.records.reader import read_run
from bench.records.trial import TrialRecord
from bench.records.writer import RunFolder
from bench.run.plan import block
from bench.run.runner import Observer
from bench.spec.job import Job, Trial
from bench.statistics.families import Sample, ratio_of

# After few blocks an interval is often narrow by chance. With at least five blocks, and a narrow
# interval after two consecutive ones, 93 % or more of the intervals are right (docs/statistics.md).
FEWEST = 5
IN_TURN = 2
# A job without a measurement in so many blocks is left out of later ones.
CHANCES = 2

Records = Mapping[str, TrialRecord]


class NextBlock(NamedTuple):
    """The next block of a run with automatic repeats.

    Attributes:
        jobs: jobs of the next block; empty if the run stops.
        reason: why the run stops; empty if it continues.
    """

    jobs: list[Job]
    reason: str


def decide(
    rule: AutoRepeats, planned: Sequence[Trial], records: Records, spent: float
) -> NextBlock:
    """Decide whether another block is measured, and of which jobs.

    Args:
        rule: when to stop.
        planned: the trials of all blocks so far.
        records: their records, by the trial's name.
        spent: seconds that all blocks took so far.
    """
    blocks = max(trial.repeat for trial in planned)
    living = _living(planned, records, blocks)
    if not living:
        return NextBlock([], "no contender could be measured")
    if spent + _last_block(planned, records, blocks) > rule.max_seconds:
        return NextBlock([], f"another block would end after the {rule.max_seconds:g} s allowed")
    samples = _samples(planned, records)
    looks = range(blocks - IN_TURN + 1, blocks + 1)
    if looks[0] >= FEWEST and all(_reach(samples, look) <= rule.interval for look in looks):
        return NextBlock([], f"each ratio was known to within {100 * rule.interval:g} %")
    return NextBlock(living, "")


def _living(planned: Sequence[Trial], records: Records, blocks: int) -> list[Job]:
    """Return the jobs that have a measurement, or that have not had all their chances yet."""
    jobs = dict.fromkeys(trial.job for trial in planned)
    if blocks < CHANCES:
        return list(jobs)
    measured = {trial.job for trial in planned if records[trial.name].outcome == "ok"}
    return [job for job in jobs if job in measured]


def _last_block(planned: Sequence[Trial], records: Records, blocks: int) -> float:
    """Return the seconds that the last block took, as an estimate of the next."""
    last = [records[trial.name] for trial in planned if trial.repeat == blocks]
    return sum(record.wall_seconds or 0.0 for record in last)


def _samples(planned: Sequence[Trial], records: Records) -> dict[Job, dict[int, float]]:
    """Return the throughput of each comparable job, by block."""
    samples: defaultdict[Job, dict[int, float]] = defaultdict(dict)
    for trial in planned:
        record = records[trial.name]
        throughput = record.throughput_images_per_second
        if record.outcome == "ok" and record.equivalence != "failed" and throughput:
            samples[trial.job][trial.repeat] = throughput
    return samples


def _reach(samples: Mapping[Job, Mapping[int, float]], blocks: int) -> float:
    """Return how far the widest interval of a ratio extended to either side after these blocks."""
    groups: defaultdict[Job, list[Sample]] = defaultdict(list)
    for job, values in samples.items():
        early = {repeat: value for repeat, value in values.items() if repeat <= blocks}
        groups[job.compared_with()].append(Sample("", early))
    pairs = (pair for group in groups.values() for pair in combinations(group, 2))
    return max((ratio_of(*pair).reach for pair in pairs), default=0.0)


def rounds(
    trials: Sequence[Trial],
    manifest: Manifest,
    valid: Sequence[TrialRecord],
    folder: RunFolder,
    observer: Observer,
) -> Iterator[Sequence[Trial]]:
    """Yield the trials, and then block after block while the run wants more.

    The manifest is on disk with each block's trials before they run, so that an interrupted run
    can be resumed. A block whose trials are not all measured was interrupted, and is the last.

    Args:
        trials: those of the manifest's plan that must be measured.
        manifest: of the run, as it is on disk.
        valid: records of the plan's other trials.
        folder: of the run. It has the records of a block when the next one is requested.
        observer: watches.
    """
    spent = sum(record.wall_seconds or 0.0 for record in valid)
    began = time.monotonic()
    while True:
        yield trials
        rule = manifest.auto_repeats
        if rule is None or rule.ended:
            return
        records = {record.trial: record for record in read_run(folder.path).trials}
        if any(_is_interrupted(records.get(trial.name)) for trial in trials):
            return
        planned = manifest.plan
        decision = decide(rule, planned, records, spent + time.monotonic() - began)
        trials = block(decision.jobs, manifest.repeats + 1, manifest.seed) if decision.jobs else []
        manifest = _grown(manifest, rule, trials, decision.reason)
        folder.write_manifest(manifest)
        observer.trials_planned(len(trials))


def _is_interrupted(record: TrialRecord | None) -> bool:
    return record is None or record.outcome == "interrupted"


def _grown(manifest: Manifest, rule: AutoRepeats, trials: Sequence[Trial], ended: str) -> Manifest:
    return msgspec.structs.replace(
        manifest,
        repeats=manifest.repeats + bool(trials),
        plan=[*manifest.plan, *trials],
        auto_repeats=msgspec.structs.replace(rule, ended=ended),
    )
