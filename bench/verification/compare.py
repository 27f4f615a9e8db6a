"""Compare two results: the relative difference, and the first weight that differs too much."""

from __future__ import annotations

import math
from typing import Callable, Optional

import numpy as np

from bench.spec.weights import FloatArray, Weights
from bench.verification.certificate import LOW_PRECISIONS, Check

# Some weights change much less than others because large terms cancel. Their rounding error is that
# of the terms, so a difference is never divided by less than these shares of the largest change of
# any weight and of the weight's own norm.
_SHARE_OF_LARGEST_CHANGE = 1e-2
_SHARE_OF_LARGEST_CHANGE_LOW_PRECISION = 5e-2
_SHARE_OF_WEIGHT = 2e-3

# The norm of an array: of a difference, and of the values that it is divided by.
Norm = Callable[[FloatArray], float]


def maximum(value: FloatArray) -> float:
    """Return the largest magnitude; 0 for an empty array."""
    return float(np.max(np.abs(value), initial=0.0))


def root_mean_square(value: FloatArray) -> float:
    """Return the root mean square; 0 for an empty array."""
    return math.sqrt(np.mean(np.square(value, dtype=np.float64))) if np.size(value) else 0.0


def norm_for(precision: str) -> Norm:
    """Return the norm in which results of a precision are compared.

    A low precision moves values across the kink of a ReLU in every batch. This changes single
    gradients completely, also in correct implementations, but hardly changes their root mean
    square.
    """
    return root_mean_square if precision in LOW_PRECISIONS else maximum


def compare_arrays(
    name: str, got: FloatArray, wanted: FloatArray, tolerance: float, norm: Norm = maximum
) -> Check:
    """Compare two arrays, relative to the norm of the wanted one.

    Args:
        name: name of the check.
        got: the backend's result.
        wanted: the reference's result.
        tolerance: the largest relative difference that passes.
        norm: norm of the difference and of the wanted values.
    """
    return Check(name, relative_difference(got, wanted, norm(wanted), norm), tolerance)


def relative_difference(
    got: FloatArray, wanted: FloatArray, scale: float, norm: Norm = maximum
) -> Optional[float]:
    """Compute the norm of `got - wanted`, divided by the scale.

    Returns:
        The relative difference, or None if the shapes differ or a value is not finite.
    """
    if np.shape(got) != np.shape(wanted) or not np.all(np.isfinite(got)):
        return None
    difference = norm(np.asarray(got, np.float64) - wanted)
    return difference / scale if scale > 0 else (0.0 if difference == 0 else None)


def compare_weights(
    name: str,
    got: Weights,
    wanted: Weights,
    tolerance: float,
    start: Optional[Weights] = None,
    norm: Norm = maximum,
) -> Check:
    """Compare the weights by address.

    Args:
        name: name of the check.
        got: the backend's weights.
        wanted: the reference's weights.
        tolerance: the largest relative difference that passes.
        start: the initial weights. If given, differences are relative to the change since then,
            otherwise to the weights.
        norm: norm of differences and scales.

    Returns:
        A check with the largest relative difference and the first weight that differs too much.
    """
    unmatched = sorted(set(got) ^ set(wanted))
    if unmatched:
        address = unmatched[0]
        reason = "extra" if address in got else "missing"
        return Check(name, None, tolerance, f"{address} ({reason})")
    scales = _scales(wanted, start, norm)
    differences = {
        key: relative_difference(got[key], wanted[key], scales[key], norm) for key in wanted
    }
    wrong = [key for key, value in differences.items() if value is None or value > tolerance]
    known = [value for value in differences.values() if value is not None]
    worst = max(known, default=0.0) if len(known) == len(differences) else None
    return Check(name, worst, tolerance, wrong[0] if wrong else "")


def _scales(wanted: Weights, start: Optional[Weights], norm: Norm) -> dict[str, float]:
    """Compute what the difference of each weight is divided by."""
    changes = {key: norm(value - start[key] if start else value) for key, value in wanted.items()}
    is_exact = norm is maximum
    share = _SHARE_OF_LARGEST_CHANGE if is_exact else _SHARE_OF_LARGEST_CHANGE_LOW_PRECISION
    floor = share * max(changes.values(), default=0.0)
    return {
        key: max(change, floor, _SHARE_OF_WEIGHT * norm(wanted[key]) if start else 0.0)
        for key, change in changes.items()
    }
