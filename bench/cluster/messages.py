"""The messages between the driver and the agents of the nodes."""

from collections.abc import Sequence

import msgspec

from bench.records.manifest import Manifest
from bench.records.trial import TrialRecord
from bench.run.validity import Holding
from bench.spec.job import Job, Trial
from bench.verification.certificate import Certificate
from bench.worker.protocol import Event, Explained


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a node needs to know about a run.

    Attributes:
        manifest: the run's manifest, as it is on the driver's disk.
        cpus: the number of the node's CPUs that the cluster lends.
        address: the address at which other nodes reach this one.
    """

    manifest: Manifest
    cpus: int
    address: str = ""


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """The question to each node before the plan is made. The answer takes none of its CPUs.

    Attributes:
        backends: the names from the command line; `all` means the backends of the node.
        on_gpu: whether the backends must support a GPU.
        data_dir: the folder that must exist; empty for the data set that the suite ships.
    """

    backends: tuple[str, ...]
    on_gpu: bool
    data_dir: str


class Answer(msgspec.Struct, frozen=True):
    """The answer to a question.

    Attributes:
        holding: the node's hardware, and the versions of its backends.
        refusal: why the node cannot take part; empty if it can.
    """

    holding: Holding
    refusal: str = ""


class Arrived(msgspec.Struct, frozen=True):
    """The node's CPUs are reserved and its agent runs."""


class Progress(msgspec.Struct, frozen=True):
    """Something that takes time, in words for the user."""

    text: str


class Checking(msgspec.Struct, frozen=True):
    """A certificate of the job's contender and model is being made."""

    job: Job


class Certified(msgspec.Struct, frozen=True):
    """The certificates of the node's trials, one per contender and model."""

    certificates: Sequence[Certificate]


class Began(msgspec.Struct, frozen=True):
    """A trial starts, with its record as far as it is known before."""

    trial: Trial
    record: TrialRecord


class WorkerReported(msgspec.Struct, frozen=True):
    """The trial's worker reported an event."""

    event: Event


class Disturbed(msgspec.Struct, frozen=True):
    """The trial was disturbed and is retried; its record is discarded."""

    record: TrialRecord


class Ended(msgspec.Struct, frozen=True):
    """The trial is over.

    Attributes:
        record: its record.
        explained: the predictions of its model, for the first repeat.
    """

    record: TrialRecord
    explained: Explained | None


class Refused(msgspec.Struct, frozen=True):
    """The node can run none of the trials, for a reason in words for the user."""

    reason: str


Message = (
    Arrived | Progress | Checking | Certified | Began | WorkerReported | Disturbed | Ended | Refused
)
