"""Rankings: comparable contenders in order of throughput, and why the others are not ranked."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from bench.statistics.families import MARGIN, Family, compare_all
from bench.statistics.ratios import SIGNIFICANCE
from reports.analysis.contenders import Contender, contenders_of
from reports.analysis.runs import Source
from reports.analysis.trials import RANKING, grouped, trial_frame
from reports.display import count, plain
from reports.metrics import THROUGHPUT

Setting = Mapping[str, Any]  # what a ranking's trials have in common, by column


@dataclass(frozen=True)
class Failure:
    """Trials of one contender that failed with the same outcome and reason."""

    label: str
    outcome: str
    reason: str
    trials: int


@dataclass(frozen=True)
class Ranking:
    """Contenders with equal work and settings on the same machine.

    Attributes:
        title: model and device, and the settings in which rankings of the same two differ.
        setting: what the contenders have in common, in words.
        choices: what distinguishes the ranking from others, by column of the trials.
        contenders: the comparable contenders, by estimated throughput; see `Family.order`.
        family: the comparison of each pair with known throughput; these contenders come first.
        repeat_seconds: mean time that a repeat took, one trial after the other; None if it is
            unknown, or if the contenders are of several runs.
        incomparable: contenders that were measured but failed their certificate.
        failures: trials without a measurement.
    """

    title: str
    setting: str
    choices: Mapping[str, str]
    contenders: tuple[Contender, ...]
    family: Family
    repeat_seconds: float | None
    incomparable: tuple[Contender, ...]
    failures: tuple[Failure, ...]

    @property
    def timed(self) -> tuple[Contender, ...]:
        """The comparable contenders whose throughput is known."""
        return self.contenders[: len(self.family.ranks)]

    @property
    def measured(self) -> tuple[Contender, ...]:
        """All contenders that were measured, the incomparable ones last."""
        return self.contenders + self.incomparable


def rankings_of(sources: Sequence[Source], trials: pd.DataFrame | None = None) -> list[Ranking]:
    """Return the rankings of several runs, in order of model, device and setting.

    The margin and the significance level are the smallest of the runs.

    Args:
        sources: the runs.
        trials: of the runs, as `trial_frame` returns them, if they exist already.
    """
    records = [record for source in sources for record in source.run.trials]
    margin = min((source.run.manifest.margin for source in sources), default=MARGIN)
    trials = grouped(trial_frame(sources) if trials is None else trials)
    members: defaultdict[int, list[Contender]] = defaultdict(list)
    for number, contender in contenders_of(trials, records):
        members[number].append(contender)
    firsts = trials.drop_duplicates("ranking").set_index("ranking").sort_index()
    # Dictionaries, because pandas is slow at reading single cells.
    settings: dict[int, Setting] = firsts[[*RANKING, "device_title"]].to_dict("index")
    differing, failures = _differing(settings), _failures(trials)
    seconds, levels = _repeat_seconds(trials), _significances(trials, sources)
    return [
        Ranking(
            **_compared([c for c in members[number] if c.is_comparable], margin, levels[number]),
            repeat_seconds=seconds.get(number),
            title=_title(own, differing[own["model"], own["device"]]),
            setting=_setting(own),
            choices={key: _choice(key, own[key]) for key in RANKING},
            incomparable=tuple(c for c in members[number] if not c.is_comparable),
            failures=tuple(failures[number]),
        )
        for number, own in settings.items()
    ]


def _compared(
    contenders: Sequence[Contender], margin: float, significance: float
) -> dict[str, Any]:
    """Return the contenders in order, and the comparison of each pair that has throughputs."""
    timed = [contender for contender in contenders if contender.blocks]
    samples = [contender.sample(THROUGHPUT) for contender in timed]
    family = compare_all(samples, margin, significance)
    ordered = [_estimated(timed[place], family.estimates[place]) for place in family.order]
    rest = [contender for contender in contenders if not contender.blocks]
    return {"contenders": (*ordered, *rest), "family": family.reordered(family.order)}


def _estimated(contender: Contender, throughput: float) -> Contender:
    """Return the contender with the estimate that it is ordered by as its throughput."""
    spread = replace(contender[THROUGHPUT], value=throughput)
    return replace(contender, spreads={**contender.spreads, THROUGHPUT.key: spread})


def _significances(trials: pd.DataFrame, sources: Sequence[Source]) -> dict[int, float]:
    """Return the smallest significance level of the runs, by the number of the ranking."""
    known = {
        (source.name, name): level
        for source in sources
        for name, level in source.run.manifest.significances().items()
    }
    levels: defaultdict[int, float] = defaultdict(lambda: SIGNIFICANCE)
    for number, *trial in zip(trials["ranking"], trials["run"], trials["trial"], strict=True):
        levels[number] = min(levels[number], known.get(tuple(trial), SIGNIFICANCE))
    return levels


def _repeat_seconds(trials: pd.DataFrame) -> dict[int, float]:
    """Return the mean over the repeats of the trials' wall time, by the number of the ranking."""
    known = trials.dropna(subset="wall_seconds")
    repeats = known.groupby(["ranking", "run", "repeat"])["wall_seconds"].sum().reset_index()
    rankings = repeats.groupby("ranking")
    means = rankings["wall_seconds"].mean()[rankings["run"].nunique() == 1]
    return {int(number): float(seconds) for number, seconds in means.items()}


def _failures(trials: pd.DataFrame) -> defaultdict[int, list[Failure]]:
    """Return the failures of each ranking, by its number."""
    found: defaultdict[int, list[Failure]] = defaultdict(list)
    ended_ill = trials[trials["outcome"] != "ok"].fillna({"reason": "no reason was recorded"})
    groups = ended_ill.groupby(["ranking", "label", "outcome", "reason"])
    for (number, label, outcome, reason), size in groups.size().items():
        found[number].append(Failure(label, outcome, plain(reason), size))
    return found


def _differing(settings: Mapping[int, Setting]) -> dict[tuple[str, str], list[str]]:
    """Return the settings in which the rankings of each model and device differ."""
    alike: defaultdict[tuple[str, str], list[Setting]] = defaultdict(list)
    for own in settings.values():
        alike[own["model"], own["device"]].append(own)
    return {
        both: [key for key in RANKING if len({_choice(key, own[key]) for own in group}) > 1]
        for both, group in alike.items()
    }


def _title(own: Setting, differing: Sequence[str]) -> str:
    """Name model and device, then each setting in which rankings of the same two differ."""
    words = [_in_words(key, own[key]) for key in differing]
    return ", ".join([f"{plain(own['model'])} on {plain(own['device'])}", *words])


def _setting(own: Setting) -> str:
    """Describe what the contenders have in common, apart from what the title always names."""
    titled = ("model", "device", "machine", "spec")
    words = [_in_words(key, own[key]) for key in RANKING if key not in titled]
    unusual = [word for word in words if word not in _USUAL]
    return ", ".join([*unusual, *filter(None, [plain(own["device_title"])])])


def _choice(key: str, value: Any) -> str:
    """Return the value as text: `all` training examples, `none` for no accuracy target."""
    if pd.isna(value):
        return "all" if key == "train_samples" else "none"
    return f"{value:g}" if isinstance(value, float) else plain(str(value))


_USUAL = ("world size 1", "1 host", "a fixed number of epochs", "any machine")


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
        case "place":
            return f"machines of kind {plain(value)}" if value else "any machine"
        case "model" | "device" | "dataset" | "precision":
            return plain(value)
    return plain(f"{key.replace('_', ' ')} {value}")
