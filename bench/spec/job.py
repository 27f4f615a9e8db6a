"""The coordinates of what is measured: a job, and a trial of it.

A `Job` is the same value everywhere: in the plan, in the task of a worker, in the record of a trial
and in a certificate. A new coordinate is a new field here, with its default.
"""

from __future__ import annotations

from typing import Literal, Optional, get_args

import msgspec

# The version of all files of a run that contain jobs. In version 1 a job's fields were side by side
# with those of its record.
SCHEMA_VERSION = 2

# Who decides what a user would leave unsaid, above all the initial weights: the spec, equal for all
# frameworks, or each framework by its defaults.
Arm = Literal["controlled", "native"]

# Where a step's images come from: the data set is on the device, or the framework's data loader
# copies each batch from host memory.
Feed = Literal["resident", "pipeline"]
FEEDS: tuple[Feed, ...] = get_args(Feed)


class Job(msgspec.Struct, frozen=True):
    """What is measured, apart from the seed and the settings of the whole run.

    Attributes:
        model: name of the model.
        batch_size: examples per step, over all processes together.
        backend: name of the backend.
        mode: one of the backend's modes.
        device: device name, as after --devices.
        arm: who decides what a user would leave unsaid.
        precision: precision of the arithmetic.
        input: where each step's images come from.
        threads: CPU threads per process; None is the run's number.
        world_size: processes or devices that share each batch.
        place: kind of machine that runs the job (`bench.machine.hardware.place_of`); empty is any.
        hosts: number of identical machines that the world is spread over.
        environment: environment variables of the worker, `NAME=value` each, sorted by name.
    """

    model: str
    batch_size: int
    backend: str
    mode: str
    device: str
    arm: Arm = "controlled"
    precision: str = "float32"
    input: Feed = "resident"
    threads: Optional[int] = None
    world_size: int = 1
    place: str = ""
    hosts: int = 1
    environment: tuple[str, ...] = ()

    @property
    def local_size(self) -> int:
        """Processes or devices per machine."""
        return self.world_size // self.hosts

    @property
    def backend_title(self) -> str:
        """The backend as names and tables show it, with its environment."""
        return f"{self.backend}[{','.join(self.environment)}]" if self.environment else self.backend

    def compared_with(self) -> Job:
        """Return what a ranking has in common: jobs may be ranked together if this is equal."""
        return msgspec.structs.replace(self, backend="", mode="", environment=())

    def certified(self) -> Job:
        """Return what a certificate depends on; its batch size is 0, which stands for any."""
        return Job(
            model=self.model,
            batch_size=0,
            backend=self.backend,
            mode=self.mode,
            device=self.device,
            precision=self.precision,
            world_size=self.world_size,
            hosts=self.hosts,
            environment=self.environment,
        )

    def with_any_model(self) -> Job:
        """Return the job without its model: what the certified jobs of a contender share."""
        return msgspec.structs.replace(self, model="")

    def words(self) -> list[str]:
        """Return one word for each coordinate that differs from its default."""
        usual = ("controlled", "float32", "resident")
        words = [word for word in (self.arm, self.precision, self.input) if word not in usual]
        if self.threads is not None:
            words.append(f"threads{self.threads}")
        if self.world_size > 1:
            words.append(f"world{self.world_size}")
        if self.hosts > 1:
            words.append(f"hosts{self.hosts}")
        if self.place:
            words.append(f"at{self.place}")
        return words


class Trial(msgspec.Struct, frozen=True):
    """One process that measures a job.

    Attributes:
        job: what it measures.
        seed: seed of the initial weights and the batch order.
        repeat: which repeat of the job it is, counted from 1.
    """

    job: Job
    seed: int
    repeat: int

    @property
    def name(self) -> str:
        """The trial's name, unique in its run."""
        job = self.job
        contender = "-".join([job.backend_title, job.mode, job.device, *job.words()])
        return f"{job.model}-b{job.batch_size}-{contender}-r{self.repeat}"
