"""The certificate: what was compared, how far it differed, and how far it may."""

from __future__ import annotations

from typing import Optional

import msgspec

# The largest difference that each check may show, as a share of the largest value (see
# `bench.verification.compare`). float32 carries 24 bits, 6e-8: sums of some thousand products
# and some tens of layers leave up to 4e-5 between correct implementations, and a wrong one
# differs by 1e-2 and more, so 1e-4 tells them apart. Training multiplies a difference from step
# to step, and the more the longer: hence ten times as much after 10 steps and a hundred times
# after 50. float64 carries 53 bits: there the same checks pass 1e-9.
TOLERANCES = {"float32": 1e-4, "float64": 1e-9}
TRAINING_ALLOWANCE = {1: 1.0, 10: 10.0, 50: 100.0}


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


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """All checks of one contender on one model.

    Attributes:
        framework_version: of the framework that was checked.
        seconds: how long the check took.
        error: why the check could not be done; empty when it could.
    """

    backend: str
    framework_version: Optional[str]
    mode: str
    device: str
    model: str
    precision: str
    checks: tuple[Check, ...]
    seconds: float
    error: str = ""

    @property
    def passed(self) -> bool:
        """Whether every check was done and passed."""
        return bool(self.checks) and not self.error and all(check.passed for check in self.checks)

    @property
    def failures(self) -> tuple[Check, ...]:
        """The checks that did not pass."""
        return tuple(check for check in self.checks if not check.passed)
