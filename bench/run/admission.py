"""Which workers of a ranking are alive at the same time: as many as fit into memory."""

import math
from collections.abc import Callable, Sequence

from bench.machine.hardware import available_gpu_memory, available_memory
from bench.run.cohorts import cohorts
from bench.run.estimates import Memory
from bench.spec.job import Job

_SHARES = 1_000_000  # the whole memory, in the unit of the shares that are added up


def cohorts_of(
    jobs: Sequence[Job], memory_of: Callable[[Job], Memory], seed: int, repeat: int
) -> list[list[Job]]:
    """Split the jobs of a ranking into cohorts that fit into memory; see `bench.run.cohorts`.

    A job needs a share of the machine's memory and one of its GPU's; the larger one counts.

    Args:
        jobs: of one ranking.
        memory_of: returns what a job's worker used before; what is unknown makes no cohorts.
        seed: of the run.
        repeat: which repeat of the jobs it is, counted from 1.
    """
    if not jobs:
        return []
    rooms = _rooms(jobs[0].device)
    needs = [_share(memory_of(job), rooms) for job in jobs]
    places = cohorts(needs, _SHARES, seed, repeat)
    return [[jobs[place] for place in group] for group in places]


def _rooms(device: str) -> tuple[float, float]:
    """Return the available bytes of the machine and of the device; infinite where unknown."""
    on_device = available_gpu_memory(device)
    return available_memory(), math.inf if on_device is None else on_device


def _share(memory: Memory, rooms: tuple[float, float]) -> int | None:
    if memory.host is None:
        return None
    shares = (need / room for need, room in zip(memory, rooms, strict=True) if need and room)
    return min(_SHARES, math.ceil(_SHARES * max(shares, default=0.0)))


class Room:
    """Whether there is memory for another worker, judged by what the earlier ones took."""

    def __init__(self, device: str) -> None:
        """Note the available memory before the first worker starts.

        Args:
            device: of the workers.
        """
        self._device = device
        self._before = _rooms(device)
        self._largest = [0.0, 0.0]

    def admits(self) -> bool:
        """Return whether as much memory is left as any worker took that was started since.

        Call it after each start.
        """
        now = _rooms(self._device)
        # Unknown memory is infinite, and infinity less infinity is not a number.
        taken = [b - a if math.isfinite(a) else 0.0 for b, a in zip(self._before, now, strict=True)]
        self._largest = [max(pair) for pair in zip(self._largest, taken, strict=True)]
        self._before = now
        return all(left > largest for left, largest in zip(now, self._largest, strict=True))
