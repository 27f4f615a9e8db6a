"""A job: the coordinates of what is compared with others. A trial: one process that measures it."""

import msgspec

from bench.records.trial import Arm, Feed


class Job(msgspec.Struct, frozen=True):
    """One thing to compare with others.

    Attributes:
        model: its name.
        batch_size: examples a step, over all processes together.
        backend: its name.
        mode: one of the backend's.
        device: as after --devices.
        arm: who chooses what a user would leave unsaid.
        precision: of the arithmetic.
        input: where each step's images come from.
        threads: CPU threads of each process; None is the run's number.
        world_size: processes or devices that share each step's batch.
        hosts: machines that these are on, equally many on each.
        place: the kind of machine that does it, see `bench.machine.identity.place_of`; empty is
            any.
    """

    model: str
    batch_size: int
    backend: str
    mode: str
    device: str
    arm: Arm = "controlled"
    precision: str = "float32"
    input: Feed = "resident"
    threads: int | None = None
    world_size: int = 1
    place: str = ""
    hosts: int = 1

    @property
    def local_size(self) -> int:
        """Processes or devices of each machine."""
        return self.world_size // self.hosts


def unusual(job: Job) -> list[str]:
    """What of the job is not the default, a word each; its threads where they are its own."""
    usual = {"controlled", "float32", "resident"}
    words = [word for word in (job.arm, job.precision, job.input) if word not in usual]
    if job.threads is not None:
        words.append(f"threads{job.threads}")
    if job.world_size > 1:
        words.append(f"world{job.world_size}")
    if job.hosts > 1:
        words.append(f"hosts{job.hosts}")
    if job.place:
        words.append(f"at{job.place}")
    return words


class Trial(msgspec.Struct, frozen=True):
    """One process: a job, the seed of its weights and batch order, and which repeat it is."""

    job: Job
    seed: int
    repeat: int

    @property
    def name(self) -> str:
        """The trial's name within its run."""
        job = self.job
        contender = "-".join([job.backend, job.mode, job.device, *unusual(job)])
        return f"{job.model}-b{job.batch_size}-{contender}-r{self.repeat}"
