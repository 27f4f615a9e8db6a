"""Rates of simulated contenders with noise resampled from recorded slices.

`tests/support/rounds/README.md` describes the recordings.
"""

import json
from collections import defaultdict
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.statistics.rounds import rates_of
from support.places import TESTS

Values = NDArray[np.float64]

RECORDINGS = ("mlp", "cnn", "mlp-busy-neighbour")
_BLOCK = 5  # consecutive rounds that are resampled together: bursts last longer than a round
_SMOOTHING = 0.3  # width of the kernel around recorded processes, in their standard deviations


class Recording(NamedTuple):
    """Recorded slices as noise.

    Attributes:
        rates: (contenders) the rate of each contender, images/s.
        slices: (repeats, rounds, contenders) log rate of each slice minus the contender's level in
            that repeat. What happened to all contenders in a round is included.
        processes: (repeats, contenders) level of each process minus the contender's mean and the
            repeat's mean, scaled to the variance of a process.
    """

    rates: Values
    slices: Values
    processes: Values


@cache
def recording(name: str) -> Recording:
    """Read a recording; contenders are in the same order in all of them."""
    slices: defaultdict[int, dict[str, dict[int, float]]] = defaultdict(dict)
    for line in (TESTS / "support" / "rounds" / f"{name}.jsonl").read_text().splitlines():
        row = json.loads(line)
        if "round" in row:
            rates = slices[row["generation"]].setdefault(row["contender"], {})
            rates[row["round"]] = row["images"] / row["seconds"]
    names = sorted(slices[0])
    levels = np.log([[rates_of(own)[each] for each in names] for own in slices.values()])
    logs = np.log([[list(own[each].values()) for each in names] for own in slices.values()])
    residuals = levels - levels.mean(0) - levels.mean(1, keepdims=True) + levels.mean()
    repeats, contenders = residuals.shape
    # The residuals of so few repeats are too small: their means were fitted to them.
    scale = np.sqrt(repeats / (repeats - 1) * contenders / (contenders - 1))
    return Recording(
        rates=np.exp(levels.mean(0)),
        slices=(logs - levels[:, :, None]).transpose(0, 2, 1),
        processes=scale * residuals,
    )


# Adds to (repeats, contenders) levels of processes and (repeats, rounds, contenders) slices.
Disturbance = Callable[[np.random.Generator, Values, Values], None]


def nothing(random: np.random.Generator, processes: Values, slices: Values) -> None:
    """Leave the recorded noise as it is."""


def drift(random: np.random.Generator, processes: Values, slices: Values) -> None:
    """Add a random walk of 5 % per round that all contenders share."""
    slices += np.cumsum(0.05 * random.standard_normal(slices.shape[:2]), axis=1)[:, :, None]


def bursts(random: np.random.Generator, processes: Values, slices: Values) -> None:
    """Slow a third of the slices down to half on average, in one round of three."""
    in_burst = (random.random(slices.shape) < 1 / 3) & (random.random(slices.shape[:2]) < 1 / 3)[
        :, :, None
    ]
    slices -= in_burst * random.exponential(np.log(2), slices.shape)


def two_speeds(random: np.random.Generator, processes: Values, slices: Values) -> None:
    """Let each process of every fifth contender run at 48,000 or at 68,000 images/s."""
    uneven = processes[:, ::5]
    uneven += np.log(68 / 48) * (random.integers(0, 2, uneven.shape) - 0.5)


def correlated(random: np.random.Generator, processes: Values, slices: Values) -> None:
    """Let a fifth of a process's deviation, in standard deviations, carry over to the next repeat.

    A random walk of 10 % per repeat that all contenders share is added.
    """
    for repeat in range(1, len(processes)):
        kept = np.sqrt(1 - 0.2**2) * processes[repeat]
        processes[repeat] = 0.2 * processes[repeat - 1] + kept
    processes += np.cumsum(0.1 * random.standard_normal((len(processes), 1)), axis=0)


DISTURBANCES: dict[str, Disturbance] = {
    "nothing": nothing,
    "drift": drift,
    "bursts": bursts,
    "correlated": correlated,
    "two speeds": two_speeds,
}


class Runs(NamedTuple):
    """Simulated runs in interleaved rounds in which all contenders are equal.

    Attributes:
        logs: (runs, repeats, contenders) logarithms of the rates.
        noise_of: (runs, contenders) the recorded contender whose noise each contender has.
    """

    logs: Values
    noise_of: NDArray[np.int_]


def simulate(
    name: str, disturb: Disturbance, contenders: int, repeats: int, rounds: int, runs: int
) -> Runs:
    """Simulate runs with the noise of randomly chosen contenders of a recording.

    Args:
        name: of the recording.
        disturb: adds further noise.
        contenders: at most as many as were recorded.
        repeats: number of repeats.
        rounds: number of rounds per repeat.
        runs: number of runs.
    """
    random = np.random.default_rng([contenders, rounds, *name.encode()])
    recorded = recording(name)
    logs = np.empty((runs, repeats, contenders))
    noise_of = np.empty((runs, contenders), np.int_)
    for run in range(runs):
        which = random.permutation(len(recorded.rates))[:contenders]
        processes = _processes(random, which, repeats)
        chosen = recorded.slices[..., which]
        slices = np.stack([_slices(random, chosen, rounds) for _ in range(repeats)])
        disturb(random, processes, slices)
        logs[run] = [_measured(repeat) for repeat in processes[:, None, :] + slices]
        noise_of[run] = which
    return Runs(logs, noise_of)


def errors_of_slices(name: str, rounds: int, repeats: int) -> Values:
    """Simulate how far disturbed slices move the ratio of two contenders in one repeat.

    Returns:
        (pairs) the root mean square of the error of the logarithm of the ratio.
    """
    random = np.random.default_rng([rounds, *name.encode()])
    recorded = recording(name)
    logs = np.array([_measured(_slices(random, recorded.slices, rounds)) for _ in range(repeats)])
    first, second = np.triu_indices(len(recorded.rates), 1)
    errors: Values = np.sqrt(np.mean((logs[:, first] - logs[:, second]) ** 2, axis=0))
    return errors


def _measured(slices: Values) -> Values:
    """Return the logarithms of the rates that evenbench makes of (rounds, contenders) slices."""
    columns = np.exp(slices).T.tolist()
    rates = rates_of({str(place): dict(enumerate(column)) for place, column in enumerate(columns)})
    return np.log(list(rates.values()))


def _processes(random: np.random.Generator, which: NDArray[np.int_], repeats: int) -> Values:
    """Draw processes from all recorded ones of each contender, smoothed (Silverman 1986, 6.4)."""
    known = np.concatenate([recording(name).processes for name in RECORDINGS])[:, which]
    drawn = known[random.integers(0, len(known), (repeats, len(which))), np.arange(len(which))]
    kernel = _SMOOTHING * known.std(axis=0) * random.standard_normal(drawn.shape)
    values: Values = (drawn + kernel) / np.sqrt(1 + _SMOOTHING**2)
    return values


def _slices(random: np.random.Generator, recorded: Values, rounds: int) -> Values:
    """Draw blocks of consecutive rounds of all contenders from one recorded repeat."""
    own = recorded[random.integers(len(recorded))]
    starts = random.integers(0, len(own), -(-rounds // _BLOCK))
    places = (starts[:, None] + np.arange(_BLOCK)) % len(own)
    values: Values = own[places.ravel()[:rounds]]
    return values
