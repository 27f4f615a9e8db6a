"""The certificate: each comparison with the reference, its difference and its tolerance."""

from __future__ import annotations

from typing import Optional

import msgspec

from bench.spec.job import SCHEMA_VERSION, Job


class Tolerance(msgspec.Struct, frozen=True):
    """The largest relative difference that each check accepts.

    Attributes:
        forward: tolerance of logits and loss.
        gradients: tolerance of the gradients.
        training: tolerance of weights and running statistics, by the number of steps.
    """

    forward: float
    gradients: float
    training: dict[int, float]


# Below, u is the unit roundoff: half the distance from 1 to the next number of the type.
#
# float32 has 24 significant bits, u = 6e-8. Sums of thousands of products in tens of layers make
# correct implementations differ by up to 4e-5. A fault causes a difference of 1e-2 or more, so a
# tolerance of 1e-4 separates the two. Training amplifies differences at every step, so the
# tolerance is 10 times larger after 10 steps and 100 times larger after 50. float64 has 53
# significant bits, and correct implementations pass the same checks with a tolerance of 1e-9.
#
# bfloat16 has 8 significant bits, u = 2e-3, and values are rounded after every layer. Correct
# implementations differ by up to 5 u in logits and loss; the tolerance is 25 u. Gradients are
# rounded in every layer on the way back, and rounding moves values across the kink of a ReLU:
# differences of up to 110 u occur in a small ResNet; the tolerance is 200 u. The rounding errors of
# successive steps do not add up, so the tolerance is the same after 50 steps. float16 and the
# operands of TF32 have 11 significant bits, u = 2.4e-4, so their tolerances are an eighth of that.
_BFLOAT16 = 5e-2, 4e-1
_ELEVEN_BITS = 6e-3, 5e-2

_STEPS = (1, 10, 50)


def _low_precision(forward: float, backward: float) -> Tolerance:
    return Tolerance(forward, backward, dict.fromkeys(_STEPS, backward))


TOLERANCES = {
    "float32": Tolerance(1e-4, 1e-4, {1: 1e-4, 10: 1e-3, 50: 1e-2}),
    "float64": Tolerance(1e-9, 1e-9, {1: 1e-9, 10: 1e-8, 50: 1e-7}),
    "bfloat16": _low_precision(*_BFLOAT16),
    "float16": _low_precision(*_ELEVEN_BITS),
    "tf32": _low_precision(*_ELEVEN_BITS),
}
# Precisions in which single values differ too much to be compared; see `compare.norm_for`.
LOW_PRECISIONS = ("bfloat16", "float16", "tf32")


class Check(msgspec.Struct, frozen=True):
    """One comparison with the reference.

    Attributes:
        name: what was compared.
        difference: the relative difference; None if shapes or names differ, or if a value is not
            finite.
        tolerance: the largest difference that passes.
        where: the first layer or weight that differs too much; empty if the check passed.
    """

    name: str
    difference: Optional[float]
    tolerance: float
    where: str = ""

    @property
    def passed(self) -> bool:
        """Whether the difference is known and within the tolerance."""
        return self.difference is not None and self.difference <= self.tolerance

    def at(self, where: str) -> Check:
        """Return the check with the layer or weight where it failed."""
        return msgspec.structs.replace(self, where=where)


UNSUPPORTED = "unsupported: "  # prefix of an error: the backend does not support the model


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """All checks of one contender on one model.

    Attributes:
        schema_version: version of the file format.
        job: the contender and the model, as `Job.certified` returns them.
        framework_version: version of the framework.
        checks: the comparisons; empty if they could not be made.
        seconds: duration of the checks.
        error: why the checks could not be made; empty if they were made.
    """

    schema_version: int = SCHEMA_VERSION
    job: Job
    framework_version: Optional[str]
    checks: tuple[Check, ...]
    seconds: float
    error: str = ""

    @property
    def passed(self) -> bool:
        """Whether all checks were made and passed."""
        return bool(self.checks) and not self.error and all(check.passed for check in self.checks)

    @property
    def is_unsupported(self) -> bool:
        """Whether the backend does not support the model or the contender's options."""
        return self.error.startswith(UNSUPPORTED)

    @property
    def failures(self) -> tuple[Check, ...]:
        """The failed checks."""
        return tuple(check for check in self.checks if not check.passed)
