"""Which records of an earlier run are still valid: same versions, source and hardware."""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from backends.api import Recipe
from backends.registry import installed_version
from bench.machine.hardware import hardware_digest, machine_name
from bench.records.trial import TrialRecord
from bench.run.certificates import backend_digest


class Holding(msgspec.Struct, frozen=True):
    """A machine and its backends.

    Attributes:
        machine: the machine's name.
        hardware_digest: of its processor, cores, memory and GPUs.
        backends: by name, the installed framework version and the digest of the backend's source.
    """

    machine: str
    hardware_digest: str
    backends: dict[str, tuple[str | None, str]]


# Why a record is no longer valid; empty when it is.
Validity = Callable[[TrialRecord], str]


def holding_of(recipes: Mapping[str, Recipe]) -> Holding:
    """This machine and the backends of these recipes."""
    held = {name: (installed_version(each), backend_digest(each)) for name, each in recipes.items()}
    return Holding(machine_name(), hardware_digest(), held)


def why_invalid(record: TrialRecord, machines: Sequence[Holding]) -> str:
    """Return why a successful record is valid on none of the machines; empty if it is on one."""
    named = [each for each in machines if each.machine == record.machine]
    if not named:
        here = ", ".join(sorted({each.machine for each in machines}))
        return f"measured on the machine {record.machine}, this is {here}"
    same = [each for each in named if each.hardware_digest == record.hardware_digest]
    if not same:
        return "measured on other hardware of the same name"
    version, digest = same[0].backends.get(record.job.backend, (None, ""))
    if record.framework_version != version:
        return f"measured with version {record.framework_version}, now {version}"
    if record.backend_digest != digest:
        return "the backend's source has changed"
    return ""


NOT_MEASURED = "not measured yet"


def why_again(record: TrialRecord | None, validity: Validity) -> str:
    """Return why a trial with this record must be measured; empty if the record is valid."""
    if record is None:
        return NOT_MEASURED
    return validity(record) if record.outcome == "ok" else f"it was {record.outcome}"
