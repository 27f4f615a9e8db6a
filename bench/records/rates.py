"""The rates of trials that were measured in rounds, as a comparison uses them."""

from collections import defaultdict
from collections.abc import Iterable

from bench.records.trial import Slice, TrialRecord
from bench.spec.job import Job
from bench.statistics.rounds import rates_of


def compared_throughput(records: Iterable[TrialRecord]) -> dict[str, float]:
    """Return the training throughput of the trials in rounds, by the trial's name.

    What affected all contenders of a round is removed; see `bench.statistics.rounds.rates_of`.

    Args:
        records: of one run.

    Returns:
        Images/s of each trial that ended well.
    """
    together: defaultdict[tuple[Job, str], list[TrialRecord]] = defaultdict(list)
    for record in records:
        if record.outcome == "ok" and record.slices and record.rounds_began_at is not None:
            together[record.job.compared_with(), record.rounds_began_at].append(record)
    rates: dict[str, float] = {}
    for group in together.values():
        rates |= rates_of({record.trial: _counted(record.slices) for record in group})
    return rates


def _counted(slices: Iterable[Slice]) -> dict[int, float]:
    """Return the rate of each undisturbed slice of training; of all if all were disturbed."""
    training = {each.round: each for each in slices if each.kind == "train"}
    quiet = {number: each.rate for number, each in training.items() if not each.flags}
    return quiet or {number: each.rate for number, each in training.items()}
