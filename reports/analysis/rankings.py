"""Rankings: contenders that are alike, in order of throughput, and what kept the others out."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bench.records.trial import TrialRecord
from bench.statistics.families import Family, Sample, compare_all
from reports.analysis.contenders import Contender, contenders_of
from reports.analysis.frames import (
    RANKING,
    contender_frame,
    grouped,
    record_frame,
    trial_frame,
)
from reports.analysis.runs import Source
from reports.display import count, plain

Setting = Mapping[str, Any]  # by the field of the records, what a ranking's trials have in common


@dataclass(frozen=True)
class Failure:
    """Trials of one contender that ended other than well, all in one way and for one reason."""

    label: str
    outcome: str
    reason: str
    trials: int


@dataclass(frozen=True)
class Ranking:
    """Contenders that are alike.

    Attributes:
        title: model and device, and what tells it from other rankings of the same two.
        setting: what its contenders have in common, in words.
        choices: by the field of the records, what tells one ranking from another.
        contenders: those that are comparable, by rank and then by median throughput.
        family: every pair of those whose throughput is known, which come first.
        incomparable: measured, but shown not to do the work that the spec states.
        failures: the trials without a measurement.
    """

    title: str
    setting: str
    choices: Mapping[str, str]
    contenders: tuple[Contender, ...]
    family: Family
    incomparable: tuple[Contender, ...]
    failures: tuple[Failure, ...]

    @property
    def timed(self) -> tuple[Contender, ...]:
        """The comparable contenders whose throughput is known."""
        return self.contenders[: len(self.family.ranks)]

    @property
    def measured(self) -> tuple[Contender, ...]:
        """All that were measured, those that are not comparable last."""
        return self.contenders + self.incomparable


def rankings_of(sources: Sequence[Source]) -> list[Ranking]:
    """The rankings of several runs, in order of model, device and setting."""
    records = [record for source in sources for record in source.run.trials]
    return _rankings(trial_frame(sources), records)


def rankings_of_records(records: Sequence[TrialRecord]) -> list[Ranking]:
    """The rankings of the records of one run."""
    return _rankings(record_frame(records), records)


def _rankings(frame: pd.DataFrame, records: Sequence[TrialRecord]) -> list[Ranking]:
    trials = grouped(frame)
    members: defaultdict[int, list[Contender]] = defaultdict(list)
    for number, contender in contenders_of(contender_frame(trials), trials, records):
        members[number].append(contender)
    settings = trials.drop_duplicates("ranking").set_index("ranking").sort_index()
    # Plain dictionaries, since pandas takes its time for each cell of a row.
    stated: dict[int, Setting] = settings[[*RANKING, "device_title"]].to_dict("index")
    differing, failures = _differing(stated), _failures(trials)
    return [
        Ranking(
            **_compared([c for c in members[number] if c.is_comparable]),
            title=_title(own, differing[own["model"], own["device"]]),
            setting=_setting(own),
            choices={key: _choice(key, own[key]) for key in RANKING},
            incomparable=tuple(c for c in members[number] if not c.is_comparable),
            failures=tuple(failures[number]),
        )
        for number, own in stated.items()
    ]


def _compared(contenders: Sequence[Contender]) -> dict[str, Any]:
    """The contenders in order, and every pair of those that can be compared."""
    timed = [contender for contender in contenders if contender.blocks]
    family = compare_all([Sample(contender.run, contender.blocks) for contender in timed])
    places = sorted(range(len(timed)), key=lambda place: family.ranks[place] or math.inf)
    ordered = [timed[place] for place in places]
    rest = [contender for contender in contenders if not contender.blocks]
    return {"contenders": (*ordered, *rest), "family": family.reordered(places)}


def _failures(trials: pd.DataFrame) -> defaultdict[int, list[Failure]]:
    """Of each ranking, by its number."""
    found: defaultdict[int, list[Failure]] = defaultdict(list)
    ended_ill = trials[trials["outcome"] != "ok"].fillna({"reason": "no reason was recorded"})
    groups = ended_ill.groupby(["ranking", "label", "outcome", "reason"])
    for (number, label, outcome, reason), size in groups.size().items():
        found[number].append(Failure(label, outcome, plain(reason), size))
    return found


def _differing(stated: Mapping[int, Setting]) -> dict[tuple[str, str], list[str]]:
    """By model and device, the settings in which rankings of the same two differ."""
    alike: defaultdict[tuple[str, str], list[Setting]] = defaultdict(list)
    for own in stated.values():
        alike[own["model"], own["device"]].append(own)
    return {
        both: [key for key in RANKING if len({_choice(key, own[key]) for own in group}) > 1]
        for both, group in alike.items()
    }


def _title(own: Setting, differing: Sequence[str]) -> str:
    """Model and device, then each setting in which rankings of the same two differ."""
    words = [_in_words(key, own[key]) for key in differing]
    return ", ".join([f"{plain(own['model'])} on {plain(own['device'])}", *words])


def _setting(own: Setting) -> str:
    keys = (
        *("dataset", "batch_size", "precision", "threads", "world_size", "hosts", "epochs"),
        *("until_accuracy", "train_samples", "arm", "input"),
    )
    words = [_in_words(key, own[key]) for key in keys if not _is_silent(key, own[key])]
    return ", ".join([*words, *filter(None, [plain(own["device_title"])])])


def _is_silent(key: str, value: Any) -> bool:
    return (key == "until_accuracy" and bool(pd.isna(value))) or (
        key in ("world_size", "hosts") and value == 1
    )


def _choice(key: str, value: Any) -> str:
    """The bare value; all training examples are `all`, no target is `none`."""
    if pd.isna(value):
        return "all" if key == "train_samples" else "none"
    return f"{value:g}" if isinstance(value, float) else plain(str(value))


def _in_words(key: str, value: Any) -> str:
    match key:
        case "batch_size":
            return f"batch size {value:,}"
        case "threads" | "epochs" | "hosts":
            return count(value, key[:-1])
        case "train_samples":
            return "all examples" if pd.isna(value) else count(int(value), "example")
        case "until_accuracy":
            return "a fixed number of epochs" if pd.isna(value) else f"until {100 * value:g} %"
        case "input" | "arm":
            return f"{value} {key}"
        case "machine" | "spec" | "world_size":
            return f"{key.replace('_', ' ')} {value}"
    return plain(value)
