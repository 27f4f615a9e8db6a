"""How far two results differ, and where first."""

from __future__ import annotations

from typing import Optional

import numpy as np

from bench.spec.weights import FloatArray, Weights
from bench.verification.certificate import Check

# A value that is small where others are large is the sum of large terms that cancel: it is held
# to the precision of the terms. Shares of the largest value anywhere, and of a weight's own size.
_SHARE_OF_ALL = 1e-2
_SHARE_OF_WEIGHT = 2e-3


def compare_arrays(name: str, got: FloatArray, wanted: FloatArray, tolerance: float) -> Check:
    """The largest difference as a share of the largest value wanted."""
    return Check(name, relative_difference(got, wanted, _largest(wanted)), tolerance)


def relative_difference(got: FloatArray, wanted: FloatArray, scale: float) -> Optional[float]:
    """Max |got - wanted| / scale; None when the shapes differ or a value is not finite."""
    if np.shape(got) != np.shape(wanted) or not np.all(np.isfinite(got)):
        return None
    difference = _largest(np.asarray(got, np.float64) - wanted)
    return difference / scale if scale > 0 else (0.0 if difference == 0 else None)


def compare_weights(
    name: str, got: Weights, wanted: Weights, tolerance: float, start: Optional[Weights] = None
) -> Check:
    """Compare by address; the worst difference, and the first weight that differs too much.

    Args:
        name: the check's name.
        got: the backend's.
        wanted: the reference's.
        tolerance: the largest share that passes.
        start: where training began: then the change since is the scale, not the value.
    """
    odd = sorted(set(got) ^ set(wanted))
    if odd:
        return Check(name, None, tolerance, f"{odd[0]} ({'extra' if odd[0] in got else 'missing'})")
    scales = _scales(wanted, start)
    differences = {key: relative_difference(got[key], wanted[key], scales[key]) for key in wanted}
    wrong = [key for key, value in differences.items() if value is None or value > tolerance]
    known = [value for value in differences.values() if value is not None]
    worst = max(known, default=0.0) if len(known) == len(differences) else None
    return Check(name, worst, tolerance, wrong[0] if wrong else "")


def _scales(wanted: Weights, start: Optional[Weights]) -> dict[str, float]:
    changes = {
        key: _largest(value - start[key] if start else value) for key, value in wanted.items()
    }
    floor = _SHARE_OF_ALL * max(changes.values(), default=0.0)
    return {
        key: max(change, floor, _SHARE_OF_WEIGHT * _largest(wanted[key]) if start else 0.0)
        for key, change in changes.items()
    }


def _largest(value: FloatArray) -> float:
    return float(np.max(np.abs(value), initial=0.0))
