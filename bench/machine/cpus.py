"""How many threads each process of a run has, and which CPUs all of them are bound to."""

from collections.abc import Sequence
from typing import NamedTuple

from bench.errors import ChoiceError
from bench.machine.hardware import usable_cpus
from bench.spec.job import Job


class Processes(NamedTuple):
    """What a choice of jobs asks of a machine's CPUs.

    Attributes:
        sizes: processes or devices of the machine, of each kind of job.
        threads: of each process; empty is a share of the CPUs.
    """

    sizes: Sequence[int]
    threads: Sequence[int]


def choose_cpus(
    processes: Sequence[Processes], usable: tuple[int, ...]
) -> tuple[int, tuple[int, ...]]:
    """The threads of a process where a job says nothing, and the CPUs of all processes together.

    Args:
        processes: of each choice of jobs.
        usable: the CPUs that there are.

    Raises:
        ChoiceError: the processes of a job would have more threads than there are CPUs.
    """
    worlds = max(size for each in processes for size in each.sizes)
    asked = [count for each in processes for count in each.threads]
    if not asked and worlds > len(usable):
        raise ChoiceError(
            f"received world size {worlds} on one machine, expected at most {len(usable)}: this "
            "process may use no more CPUs"
        )
    threads = max(asked) if asked else len(usable) // worlds
    most = max(
        size * count
        for each in processes
        for size in each.sizes
        for count in each.threads or [threads]
    )
    if most > len(usable) and worlds > 1:
        raise ChoiceError(
            f"received processes with {most} threads in all, expected at most {len(usable)}: ask "
            "for a smaller world size or fewer threads, this process may use no more CPUs"
        )
    choose_threads(threads, usable)
    return threads, usable[:most]


def share_cpus(
    jobs: Sequence[Job], asked: int | None, usable: Sequence[int]
) -> tuple[int, tuple[int, ...]]:
    """As `choose_cpus`, of jobs that are planned already.

    Args:
        jobs: those of the run.
        asked: threads of a process where a job says nothing; None shares the CPUs.
        usable: the CPUs that there are.

    Raises:
        ChoiceError: the processes of a job would have more threads than there are CPUs.
    """
    worlds = max((job.local_size for job in jobs), default=1)
    threads = asked or max(1, len(usable) // worlds)
    most = max((job.local_size * (job.threads or threads) for job in jobs), default=threads)
    if most > len(usable):
        raise ChoiceError(
            f"received processes with {most} threads in all, expected at most {len(usable)}: this "
            "process may use no more CPUs"
        )
    return threads, tuple(usable[:most])


def local_sizes(world_sizes: Sequence[int], hosts: Sequence[int]) -> list[int]:
    """The processes of each machine, for every world size and number of hosts that fit.

    Raises:
        ChoiceError: a number of hosts fits no world size.
    """
    for machines in hosts:
        if all(size % machines for size in world_sizes):
            sizes = ", ".join(map(str, world_sizes))
            raise ChoiceError(
                f"received {machines} hosts and world size {sizes}, expected a world size that so "
                "many hosts can share in equal parts"
            )
    return [size // machines for size in world_sizes for machines in hosts if size % machines == 0]


def choose_threads(
    asked: int | None, usable: tuple[int, ...] | None = None
) -> tuple[int, tuple[int, ...]]:
    """The number of threads and the CPUs that every worker is bound to.

    Raises:
        ChoiceError: more threads than CPUs.
    """
    usable = usable or usable_cpus()
    threads = asked or len(usable)
    if threads > len(usable):
        raise ChoiceError(
            f"received --threads {threads}, expected at most {len(usable)}: "
            "this process may use no more CPUs"
        )
    return threads, usable[:threads]
