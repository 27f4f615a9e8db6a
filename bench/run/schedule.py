"""Which trials come next: repeats are added until every pair is decided or the time is over.

After each repeat of a ranking, its pairs of contenders are compared. A contender whose pairs are
all decided is not measured again. The error rate is divided among these looks
(`bench.statistics.looks`), so that looking often does not find differences that are not there.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import msgspec

from bench.records.manifest import Ended, Manifest, TimeLimit
from bench.records.rates import compared_throughput
from bench.records.reader import read_run
from bench.records.trial import TrialRecord
from bench.records.writer import RunFolder
from bench.run.observers import Observer
from bench.run.plan import block
from bench.spec.job import Job, Trial
from bench.statistics.families import Sample, compare_all
from bench.statistics.looks import level

# A job that failed in this number of successive repeats is left out of later ones.
CHANCES = 2
# Pairs that this number of repeats leaves undecided hardly differ.
MOST_REPEATS = 50
# Repeats of a contender that has no other to be compared with.
ALONE = 3

Records = Mapping[str, TrialRecord]


class Step(NamedTuple):
    """What comes after a repeat of a ranking.

    Attributes:
        jobs: what the next repeat measures; empty if the ranking ends.
        ended: why it ends; None if it continues.
    """

    jobs: list[Job]
    ended: Ended | None = None


def next_step(limit: TimeLimit, margin: float, planned: Sequence[Trial], records: Records) -> Step:
    """Decide whether a ranking has another repeat, and of which jobs.

    Args:
        limit: of the ranking.
        margin: contenders within this share of each other are the same.
        planned: the ranking's trials so far.
        records: all of their records, by the trial's name.
    """
    repeats = max(trial.repeat for trial in planned)
    history = _history(planned, records)
    living = [job for job, made in history.items() if not _has_failed(made)]
    samples = _samples(planned, records)
    look = max(repeats - 1, 1)
    if not living:
        return Step([], Ended("no contender could be measured"))
    candidates = living
    pairs: list[tuple[Job, Job]] = []
    if repeats > 1 and len(samples) < 2:
        candidates = living if repeats < ALONE else []
    elif repeats > 1:
        pairs = _undecided(samples, margin, level(look, is_last=False))
        open_pairs = [pair for pair in pairs if set(pair) <= set(living)]
        candidates = [job for job in living if any(job in pair for pair in open_pairs)]
    if not candidates:
        reason = "every pair is decided" if len(samples) > 1 else "there is no pair to decide"
        reason = "only pairs with a contender that failed are undecided" if pairs else reason
        return Step([], Ended(reason, level(look, is_last=False)))
    seconds = sum(map(_seconds, records.values())) + sum(
        _next_seconds(history[j]) for j in candidates
    )
    if seconds > limit.seconds:
        reason = "the time is over"
        reason += " after one repeat, but two are needed to compare" if repeats == 1 else ""
        return Step([], Ended(reason, level(look, is_last=True)))
    if repeats >= MOST_REPEATS:
        return Step([], Ended(f"{MOST_REPEATS} repeats were not enough", level(look, is_last=True)))
    return Step(candidates)


def _history(planned: Sequence[Trial], records: Records) -> dict[Job, list[TrialRecord]]:
    """Return each job's records, in order of the repeats."""
    history: defaultdict[Job, list[TrialRecord]] = defaultdict(list)
    for trial in sorted(planned, key=lambda trial: trial.repeat):
        history[trial.job].append(records[trial.name])
    return history


def _has_failed(made: Sequence[TrialRecord]) -> bool:
    return len(made) >= CHANCES and all(each.outcome != "ok" for each in made[-CHANCES:])


def _samples(planned: Sequence[Trial], records: Records) -> dict[Job, dict[int, float]]:
    """Return the throughput of each comparable job, by repeat."""
    in_rounds = compared_throughput(records.values())
    samples: defaultdict[Job, dict[int, float]] = defaultdict(dict)
    for trial in planned:
        record = records[trial.name]
        throughput = in_rounds.get(trial.name, record.throughput_images_per_second)
        if record.outcome == "ok" and record.equivalence != "failed" and throughput:
            samples[trial.job][trial.repeat] = throughput
    return samples


def _undecided(
    samples: Mapping[Job, Mapping[int, float]], margin: float, significance: float
) -> list[tuple[Job, Job]]:
    family = compare_all([Sample("", each) for each in samples.values()], margin, significance)
    jobs = list(samples)
    return [
        (jobs[one], jobs[other])
        for one, other in combinations(range(len(jobs)), 2)
        if family.verdict(one, other) == "undecided"
    ]


def _seconds(record: TrialRecord) -> float:
    """Return the seconds that count towards the time limit.

    In rounds, these are all but the epochs that were only trained for the accuracy.
    """
    seconds = record.wall_seconds or 0.0
    if not record.slices:
        return seconds
    trained = (record.train_seconds or 0.0) + (record.evaluate_seconds or 0.0)
    slices = sum(each.seconds for each in record.slices if each.kind == "train")
    return seconds - max(0.0, trained - slices)


def _next_seconds(made: Sequence[TrialRecord]) -> float:
    """Estimate the seconds of the job's next trial, which need not compile what is cached."""
    last = made[-1]
    compiling = (last.compile_seconds or 0.0) if last.slices else 0.0
    return _seconds(last) - compiling


def passes(
    trials: Sequence[Trial],
    manifest: Manifest,
    folder: RunFolder,
    observer: Observer,
) -> Iterator[Sequence[Trial]]:
    """Yield the trials, and then pass after pass of further repeats while the run wants more.

    A pass has a repeat of each ranking that has not ended. The manifest is on disk with the trials
    of a pass before they run, so that an interrupted run can be resumed. A pass whose trials are
    not all measured was interrupted, and is the last.

    Args:
        trials: those of the manifest's plan that must be measured.
        manifest: of the run, as it is on disk.
        folder: of the run. It has the records of a pass when the next one is requested.
        observer: watches.
    """
    while True:
        yield trials
        if manifest.time_limit is None:
            return
        records = {record.trial: record for record in read_run(folder.path).trials}
        if any(_is_interrupted(records.get(trial.name)) for trial in trials):
            return
        trials, manifest = _next_pass(manifest, manifest.time_limit, records)
        folder.write_manifest(manifest)
        if not trials:
            return
        observer.trials_planned(len(trials))


def _next_pass(
    manifest: Manifest, limit: TimeLimit, records: Records
) -> tuple[list[Trial], Manifest]:
    """Return the trials of the next pass, and the manifest with them."""
    ended = dict(limit.ended)
    trials: list[Trial] = []
    for planned in _by_ranking(manifest.plan):
        name = planned[0].name
        if name in ended:
            continue
        own = {trial.name: records[trial.name] for trial in planned}
        step = next_step(limit, manifest.margin, planned, own)
        if step.ended is not None:
            ended[name] = step.ended
        else:
            repeat = max(trial.repeat for trial in planned) + 1
            trials += block(step.jobs, repeat, manifest.seed)
    return trials, msgspec.structs.replace(
        manifest,
        repeats=max([manifest.repeats, *(trial.repeat for trial in trials)]),
        plan=[*manifest.plan, *trials],
        time_limit=msgspec.structs.replace(limit, ended=ended),
    )


def _by_ranking(planned: Iterable[Trial]) -> list[list[Trial]]:
    rankings: defaultdict[Job, list[Trial]] = defaultdict(list)
    for trial in planned:
        rankings[trial.job.compared_with()].append(trial)
    return list(rankings.values())


def _is_interrupted(record: TrialRecord | None) -> bool:
    return record is None or record.outcome == "interrupted"
