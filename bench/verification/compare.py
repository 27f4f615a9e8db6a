"""How far two results differ, and where first."""

from __future__ import annotations

import math
from typing import Callable, Optional

import numpy as np

from bench.spec.weights import FloatArray, Weights
from bench.verification.certificate import SHORT, Check

# A value that is small where others are large is the sum of large terms that cancel: it is held
# to the precision of the terms. Shares of the largest value anywhere, and of a weight's own size.
_SHARE_OF_ALL = 1e-2
_SHARE_OF_ALL_SHORT = 5e-2  # in a short precision, whose terms carry less
_SHARE_OF_WEIGHT = 2e-3


# What stands for an array's size: of a difference, and of the values that it is a share of.
Size = Callable[[FloatArray], float]


def largest(value: FloatArray) -> float:
    """The largest magnitude; 0 for an empty array."""
    return float(np.max(np.abs(value), initial=0.0))


def root_mean_square(value: FloatArray) -> float:
    """The magnitude of a typical value; 0 for an empty array."""
    return math.sqrt(np.mean(np.square(value, dtype=np.float64))) if np.size(value) else 0.0


def size_for(precision: str) -> Size:
    """What is compared in a precision: each value, or in a short one all together.

    A short type puts values near the kink of a ReLU on its other side in every batch, and single
    gradients differ wholly, whoever is right; their share of all is small.
    """
    return root_mean_square if precision in SHORT else largest


def compare_arrays(
    name: str, got: FloatArray, wanted: FloatArray, tolerance: float, size: Size = largest
) -> Check:
    """The size of the difference as a share of that of the values wanted."""
    return Check(name, relative_difference(got, wanted, size(wanted), size), tolerance)


def relative_difference(
    got: FloatArray, wanted: FloatArray, scale: float, size: Size = largest
) -> Optional[float]:
    """The size of got - wanted / scale; None when shapes differ or a value is not finite."""
    if np.shape(got) != np.shape(wanted) or not np.all(np.isfinite(got)):
        return None
    difference = size(np.asarray(got, np.float64) - wanted)
    return difference / scale if scale > 0 else (0.0 if difference == 0 else None)


def compare_weights(
    name: str,
    got: Weights,
    wanted: Weights,
    tolerance: float,
    start: Optional[Weights] = None,
    size: Size = largest,
) -> Check:
    """Compare by address; the worst difference, and the first weight that differs too much.

    Args:
        name: the check's name.
        got: the backend's.
        wanted: the reference's.
        tolerance: the largest share that passes.
        start: where training began: then the change since is the scale, not the value.
        size: of differences and scales.
    """
    odd = sorted(set(got) ^ set(wanted))
    if odd:
        return Check(name, None, tolerance, f"{odd[0]} ({'extra' if odd[0] in got else 'missing'})")
    scales = _scales(wanted, start, size)
    differences = {
        key: relative_difference(got[key], wanted[key], scales[key], size) for key in wanted
    }
    wrong = [key for key, value in differences.items() if value is None or value > tolerance]
    known = [value for value in differences.values() if value is not None]
    worst = max(known, default=0.0) if len(known) == len(differences) else None
    return Check(name, worst, tolerance, wrong[0] if wrong else "")


def _scales(wanted: Weights, start: Optional[Weights], size: Size) -> dict[str, float]:
    changes = {key: size(value - start[key] if start else value) for key, value in wanted.items()}
    share = _SHARE_OF_ALL if size is largest else _SHARE_OF_ALL_SHORT
    floor = share * max(changes.values(), default=0.0)
    return {
        key: max(change, floor, _SHARE_OF_WEIGHT * size(wanted[key]) if start else 0.0)
        for key, change in changes.items()
    }
