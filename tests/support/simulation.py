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
from support.noise import SHAPES, Shape, throughputs

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


def _header(title: str, columns: Sequence[str]) -> None:
    print(f"\n| {title} | {' | '.join(columns)} |\n|---|{'---:|' * len(columns)}")


def _row(name: str, shares: Iterable[float]) -> None:
    print(f"| {name} | {' | '.join(f'{100 * share:.1f}' for share in shares)} |", flush=True)


if __name__ == "__main__":
    print_tables(int(sys.argv[1]) if len(sys.argv) > 1 else 4000)
