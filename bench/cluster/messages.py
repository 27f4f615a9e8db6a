"""What a node tells the driver while it works through trials, in the order in which it happens."""

from collections.abc import Sequence

import msgspec

from bench.records.manifest import Manifest
from bench.records.trial import TrialRecord
from bench.run.validity import Holding
from bench.spec.job import Job, Trial
from bench.verification.certificate import Certificate
from bench.worker.protocol import Event, Explained


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What a node is told of a run.

    Attributes:
        manifest: the run's, as it is on the driver's disk.
        cpus: how many of the node's CPUs the cluster lends.
        address: at which other nodes reach this one.
    """

    manifest: Manifest
    cpus: int
    address: str = ""


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What a node is asked before the plan is made, and answers without using its CPUs.

    Attributes:
        backends: as typed; `all` are those of the node.
        on_gpu: whether environments are to serve a GPU.
        data_dir: the folder that must be there; empty is the data set that the suite ships.
    """

    backends: tuple[str, ...]
    on_gpu: bool
    data_dir: str


class Look(msgspec.Struct, frozen=True):
    """What a node is, or why it is of no use."""

    holding: Holding
    refusal: str = ""


class Arrived(msgspec.Struct, frozen=True):
    """The node's CPUs are this run's now."""


class Told(msgspec.Struct, frozen=True):
    """Something that takes time, in words."""

    text: str


class Checking(msgspec.Struct, frozen=True):
    """A certificate is being made."""

    job: Job


class Certified(msgspec.Struct, frozen=True):
    """The certificates of the contenders of these trials, on this node."""

    certificates: Sequence[Certificate]


class Began(msgspec.Struct, frozen=True):
    """A trial starts; its record as far as the plan and the node tell it."""

    trial: Trial
    record: TrialRecord


class Happened(msgspec.Struct, frozen=True):
    """The trial's worker told something."""

    event: Event


class Disturbed(msgspec.Struct, frozen=True):
    """The trial was disturbed, and is taken again."""

    record: TrialRecord


class Ended(msgspec.Struct, frozen=True):
    """The trial is over."""

    record: TrialRecord
    explained: Explained | None


class Refused(msgspec.Struct, frozen=True):
    """The node can do none of the run's trials: a sentence why."""

    reason: str


Message = Arrived | Told | Checking | Certified | Began | Happened | Disturbed | Ended | Refused
