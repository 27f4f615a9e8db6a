"""Chooses the number of threads per process and the CPUs that all processes are bound to."""

from collections.abc import Sequence
from typing import NamedTuple

from bench.errors import ChoiceError
from bench.machine.hardware import usable_cpus


class Processes(NamedTuple):
    """The processes on one machine that a choice of jobs requests.

    Attributes:
        sizes: numbers of processes or devices per machine, one for each kind of job.
        threads: numbers of threads per process; empty to share the CPUs equally.
    """

    sizes: Sequence[int]
    threads: Sequence[int]


def choose_cpus(
    processes: Sequence[Processes], usable: tuple[int, ...]
) -> tuple[int, tuple[int, ...]]:
    """Choose threads and CPUs for jobs that are not planned yet.

    Args:
        processes: for each choice of jobs.
        usable: the CPUs that this process may use.

    Returns:
        The threads per process of jobs that request no number, and the CPUs of all processes.

    Raises:
        ChoiceError: the processes of a job would have more threads than there are CPUs.
    """
    largest = max(size for each in processes for size in each.sizes)
    requested = [count for each in processes for count in each.threads]
    if not requested and largest > len(usable):
        raise ChoiceError(
            f"received world size {largest} on one machine, expected at most {len(usable)}, the "
            "number of CPUs that this process may use"
        )
    threads = max(requested) if requested else len(usable) // largest
    most = max(
        size * count
        for each in processes
        for size in each.sizes
        for count in each.threads or [threads]
    )
    if most > len(usable) and largest > 1:
        raise ChoiceError(
            f"received processes with {most} threads in total, expected at most {len(usable)}, the "
            "number of CPUs that this process may use; choose a smaller world size or fewer threads"
        )
    choose_threads(threads, usable)
    return threads, usable[:most]


def share_cpus(
    processes: Sequence[tuple[int, int | None]], requested: int | None, usable: Sequence[int]
) -> tuple[int, tuple[int, ...]]:
    """Choose threads and CPUs for planned jobs.

    Args:
        processes: for each job the number of processes or devices per machine, and the threads
            per process; None if the job requests no number.
        requested: threads per process of jobs that request no number; None to share the CPUs.
        usable: the CPUs that this process may use.

    Returns:
        As `choose_cpus`.

    Raises:
        ChoiceError: the processes of a job would have more threads than there are CPUs.
    """
    largest = max((size for size, _ in processes), default=1)
    threads = requested or max(1, len(usable) // largest)
    most = max((size * (own or threads) for size, own in processes), default=threads)
    if most > len(usable):
        raise ChoiceError(
            f"received processes with {most} threads in total, expected at most {len(usable)}, the "
            "number of CPUs that this process may use"
        )
    return threads, tuple(usable[:most])


def local_sizes(world_sizes: Sequence[int], hosts: Sequence[int]) -> list[int]:
    """Compute the processes per machine for every world size and number of hosts that divides it.

    Raises:
        ChoiceError: a number of hosts divides no world size.
    """
    for machines in hosts:
        if all(size % machines for size in world_sizes):
            sizes = ", ".join(map(str, world_sizes))
            raise ChoiceError(
                f"received {machines} hosts and world size {sizes}, expected a world size that is "
                f"a multiple of {machines}"
            )
    return [size // machines for size in world_sizes for machines in hosts if size % machines == 0]


def choose_threads(
    requested: int | None, usable: tuple[int, ...] | None = None
) -> tuple[int, tuple[int, ...]]:
    """Choose the threads of each process and the CPUs that it is bound to.

    Args:
        requested: the number of threads; None for as many as there are CPUs.
        usable: the CPUs that may be used; by default those of this process.

    Raises:
        ChoiceError: more threads than CPUs.
    """
    usable = usable or usable_cpus()
    threads = requested or len(usable)
    if threads > len(usable):
        raise ChoiceError(
            f"received --threads {threads}, expected at most {len(usable)}, the number of CPUs "
            "that this process may use"
        )
    return threads, usable[:threads]
