"""Measure by simulation how often the statistics are correct.

    PYTHONPATH=tests python -m support.simulation

This prints the tables of docs/results/statistics.md. A test runs smaller simulations:
`tests/unit/bench/statistics/test_simulation.py`.
"""

import math
import sys
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from bench.statistics.families import Family, Sample, compare_all
from bench.statistics.medians import median_interval
from bench.statistics.planning import repeats_to_decide
from bench.statistics.ratios import independent_ratio, paired_ratio
from support.noise import SHAPES, Shape, Values, throughputs

SPREADS = (0.01, 0.02, 0.03, 0.05)
SLOWDOWN = 0.05
_MANY = 200_000


def ratio_coverage(shape: Shape, blocks: int, rounds: int, paired: bool = True) -> float:
    """Return the share of intervals that contain the true ratio of two contenders, 1.1."""
    random = np.random.default_rng([blocks, rounds])
    method = paired_ratio if paired else independent_ratio
    found = (
        method(*throughputs(random, shape, blocks, 0.02, (1.1, 1.0)).T.tolist())
        for _ in range(rounds)
    )
    return _share(ratio.low <= 1.1 <= ratio.high for ratio in found)


def median_coverage(shape: Shape, blocks: int, rounds: int) -> float:
    """Return the share of intervals that contain the true median of a contender."""
    random = np.random.default_rng([blocks, rounds])
    truth = float(np.median(throughputs(random, shape, _MANY, 0.02, (1.0,))))
    found = (
        median_interval(throughputs(random, shape, blocks, 0.02, (1.0,))[:, 0].tolist())
        for _ in range(rounds)
    )
    return _share(median.low <= truth <= median.high for median in found)


def bootstrap_coverage(shape: Shape, blocks: int, rounds: int, resamples: int = 1000) -> float:
    """Return the same share for the percentile bootstrap, which evenbench does not use."""
    random = np.random.default_rng([blocks, rounds])
    truth = float(np.median(throughputs(random, shape, _MANY, 0.02, (1.0,))))
    hits = []
    for _ in range(rounds):
        values = throughputs(random, shape, blocks, 0.02, (1.0,))[:, 0]
        drawn = values[random.integers(0, blocks, (resamples, blocks))]
        low, high = np.quantile(np.median(drawn, axis=1), (0.025, 0.975))
        hits.append(low <= truth <= high)
    return _share(hits)


def false_families(shape: Shape, contenders: int, blocks: int, rounds: int) -> float:
    """Return the share of families with at least one false claim, if all contenders are equal."""
    return _share(
        any_difference(compare_all(samples))
        for samples in _families(shape, [1.0] * contenders, blocks, 0.02, rounds)
    )


def detections(
    shape: Shape, contenders: int, blocks: int, spread: float, rounds: int, slowdown: float
) -> float:
    """Return how often the one slower contender is shown to be slower than the first contender."""
    speeds = [1.0] * (contenders - 1) + [1.0 - slowdown]
    return _share(
        compare_all(samples).verdict(0, contenders - 1) == "faster"
        for samples in _families(shape, speeds, blocks, spread, rounds)
    )


def stated_repeats(spread: float, pairs: int = 1) -> int | None:
    """Return the stated number of repeats that show the slowdown, for this spread of trials."""
    return repeats_to_decide(-math.log1p(-SLOWDOWN), 2**0.5 * spread, comparisons=pairs)


def any_difference(family: Family) -> bool:
    """Return whether any two contenders are said to differ."""
    return any(rank is not None and rank.low > 1 for rank in family.ranks)


def _families(
    shape: Shape, speeds: Sequence[float], blocks: int, spread: float, rounds: int
) -> Iterable[list[Sample]]:
    """Simulate families of contenders, one per round of the simulation."""
    random = np.random.default_rng([len(speeds), blocks, rounds])
    for _ in range(rounds):
        values = throughputs(random, shape, blocks, spread, speeds)
        yield [Sample("", dict(enumerate(column))) for column in values.T.tolist()]


def stopped(
    shape: Shape,
    contenders: int,
    spread: float,
    rounds: int,
    fewest: int,
    in_turn: int,
    interval: float = 0.02,
    most: int = 150,
) -> tuple[float, float, float]:
    """Simulate runs with `--repeats auto` and equal contenders.

    Args:
        shape: shape of the noise.
        contenders: number of contenders.
        spread: relative standard deviation from trial to trial.
        rounds: number of runs.
        fewest: minimum number of repeats.
        in_turn: number of successive repeats after which the intervals must be narrow enough.
        interval: half-width of an interval that is narrow enough.
        most: maximum number of repeats.

    Returns:
        The share of runs whose first interval contains the true ratio, the share of runs with a
        false claim, and the median number of repeats.
    """
    random = np.random.default_rng([contenders, rounds, fewest])
    holds, false, repeats = [], [], []
    for _ in range(rounds):
        values = throughputs(random, shape, most, spread, [1.0] * contenders)
        repeats.append(_blocks_run(values, fewest, in_turn, interval))
        seen = values[: repeats[-1]].T.tolist()
        family = compare_all([Sample("", dict(enumerate(column))) for column in seen])
        ratio = paired_ratio(*seen[:2])
        holds.append(ratio.low <= 1 <= ratio.high)
        false.append(any_difference(family))
    return _share(holds), _share(false), float(np.median(repeats))


def _blocks_run(values: Values, fewest: int, in_turn: int, interval: float) -> int:
    """Return the number of repeats after which all intervals were narrow enough."""
    met = 0
    for blocks in range(fewest, len(values)):
        columns = values[:blocks].T.tolist()
        met = met + 1 if _widest(columns) <= interval else 0
        if met == in_turn:
            return blocks
    return len(values)


def _widest(columns: Sequence[Sequence[float]]) -> float:
    """Return the half-width of the widest interval of a ratio."""
    pairs = ((a, b) for place, a in enumerate(columns) for b in columns[place + 1 :])
    return max(paired_ratio(a, b).reach for a, b in pairs)


def _share(hits: Iterable[bool]) -> float:
    return float(np.mean(list(hits)))


def print_tables(rounds: int) -> None:
    """Print all tables as Markdown."""
    sizes = (3, 4, 5, 6, 8, 10, 20)
    heading = [f"{size}" for size in sizes]
    alike = {name: shape for name, shape in SHAPES.items() if name != "drift"}

    def by_size(measure: Callable[[Shape, int, int], float], shapes: dict[str, Shape]) -> None:
        for name, shape in shapes.items():
            _row(name, (measure(shape, size, rounds) for size in sizes))

    _header("paired ratio, coverage %", heading)
    by_size(ratio_coverage, SHAPES)
    _header("independent ratio, coverage %", heading)
    by_size(lambda shape, size, many: ratio_coverage(shape, size, many, paired=False), alike)
    _header("median, coverage %", heading)
    by_size(median_coverage, {name: alike[name] for name in ("normal", "skewed", "outliers")})
    _header("percentile bootstrap of the median, coverage %", heading)
    by_size(bootstrap_coverage, {"normal": SHAPES["normal"]})
    for contenders in (2, 7):
        _header(f"families of {contenders} with a false claim, %", ["3", "5", "10"])
        for name, shape in SHAPES.items():
            _row(name, (false_families(shape, contenders, size, rounds) for size in (3, 5, 10)))
    _print_detections(rounds)
    _print_stopped(rounds // 4)


def _print_detections(rounds: int) -> None:
    names = [f"{name} %" for name in SHAPES if name != "unequal"]
    for contenders in (2, 7):
        pairs = contenders * (contenders - 1) // 2
        _header(f"{contenders} contenders, a 5 % slowdown", ["repeats", *names])
        for spread in SPREADS:
            needed = stated_repeats(spread, pairs)
            if needed is None:
                continue
            shares = [
                detections(shape, contenders, needed, spread, rounds, SLOWDOWN)
                for name, shape in SHAPES.items()
                if name != "unequal"
            ]
            _row(f"{100 * spread:g} %", [needed / 100, *shares])


def _print_stopped(rounds: int) -> None:
    from bench.run.repeats import FEWEST, IN_TURN

    for contenders in (2, 4):
        heading = ["coverage %", "false families %", "repeats"]
        _header(f"auto, {contenders} contenders, spread", heading)
        for spread in SPREADS[:3]:
            holds, false, repeats = stopped(
                SHAPES["normal"], contenders, spread, rounds, FEWEST, IN_TURN
            )
            _row(f"{100 * spread:g} %", (holds, false, repeats / 100))


def _header(title: str, columns: Sequence[str]) -> None:
    print(f"\n| {title} | {' | '.join(columns)} |\n|---|{'---:|' * len(columns)}")


def _row(name: str, shares: Iterable[float]) -> None:
    print(f"| {name} | {' | '.join(f'{100 * share:.1f}' for share in shares)} |", flush=True)


if __name__ == "__main__":
    print_tables(int(sys.argv[1]) if len(sys.argv) > 1 else 4000)
