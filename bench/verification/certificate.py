"""The certificate: what was compared, how far it differed, and how far it may."""

from __future__ import annotations

from typing import Optional

import msgspec

from bench.spec.job import SCHEMA_VERSION, Job


class Tolerance(msgspec.Struct, frozen=True):
    """The largest difference that each check may show, as a share of the size of what is wanted.

    Attributes:
        forward: of logits and loss.
        gradients: of the gradients.
        training: of weights and statistics after so many steps.
    """

    forward: float
    gradients: float
    training: dict[int, float]


# Each unit of rounding u below is half the distance from 1 to the next number.
#
# float32 carries 24 bits, u = 6e-8: sums of some thousand products and some tens of layers leave
# up to 4e-5 between correct implementations, and a wrong one differs by 1e-2 and more, so 1e-4
# tells them apart. Training multiplies a difference from step to step, and the more the longer:
# hence ten times as much after 10 steps and a hundred times after 50. float64 carries 53 bits:
# there the same checks pass 1e-9.
#
# bfloat16 carries 8 bits, u = 2e-3, and rounds after each layer: correct implementations leave up
# to 5 u in logits and loss, and 25 u are allowed. Each gradient is rounded on its way back through
# every layer, and values near the kink of a ReLU fall on its other side: up to 110 u were seen in
# a small ResNet, and 200 u are allowed. The rounding differs from step to step, so that
# it does not add up: the same holds after 50 steps. float16 and the operands of TF32 carry 11
# bits, u = 2.4e-4: an eighth of all that.
_BFLOAT16 = 5e-2, 4e-1
_ELEVEN_BITS = 6e-3, 5e-2

_STEPS = (1, 10, 50)


def _short(forward: float, backward: float) -> Tolerance:
    return Tolerance(forward, backward, dict.fromkeys(_STEPS, backward))


TOLERANCES = {
    "float32": Tolerance(1e-4, 1e-4, {1: 1e-4, 10: 1e-3, 50: 1e-2}),
    "float64": Tolerance(1e-9, 1e-9, {1: 1e-9, 10: 1e-8, 50: 1e-7}),
    "bfloat16": _short(*_BFLOAT16),
    "float16": _short(*_ELEVEN_BITS),
    "tf32": _short(*_ELEVEN_BITS),
}
# Precisions that round so far that values are compared all together; see `compare.size_for`.
SHORT = ("bfloat16", "float16", "tf32")


class Check(msgspec.Struct, frozen=True):
    """One comparison with the reference.

    Attributes:
        name: what was compared.
        difference: the largest relative difference; None when shapes, names or finiteness differ.
        tolerance: the largest that passes.
        where: the first layer or weight that differs too much; empty when the check passes.
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
        """The same check with the place of its failure."""
        return msgspec.structs.replace(self, where=where)


UNSUPPORTED = "unsupported: "  # begins the error of a backend that lacks what the model needs


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """All checks of one contender on one model.

    Attributes:
        schema_version: version of the file's format.
        job: the contender and the model, as `Job.certified` has them.
        framework_version: of the framework that was checked.
        seconds: how long the check took.
        error: why the check could not be done; empty when it could.
    """

    schema_version: int = SCHEMA_VERSION
    job: Job
    framework_version: Optional[str]
    checks: tuple[Check, ...]
    seconds: float
    error: str = ""

    @property
    def passed(self) -> bool:
        """Whether every check was done and passed."""
        return bool(self.checks) and not self.error and all(check.passed for check in self.checks)

    @property
    def is_unsupported(self) -> bool:
        """Whether the backend says that it lacks what the model needs."""
        return self.error.startswith(UNSUPPORTED)

    @property
    def failures(self) -> tuple[Check, ...]:
        """The checks that did not pass."""
        return tuple(check for check in self.checks if not check.passed)
