"""The canary: a fixed amount of work whose duration shows how fast the machine currently is.

It runs between trials, never while something is timed. Interpreter work becomes slower when another
process uses the core or the clock rate drops; copies of memory become slower when another process
uses the memory bus. The work is divided into pieces and the median of their durations counts,
because an interruption shorter than half of the canary does not affect a whole trial.
"""

from bisect import insort
from statistics import median
from time import perf_counter

_PIECES = 5
_ROUNDS = 120_000  # per piece
_BLOCK = bytes(24 * 2**20)  # larger than the caches of one core
_COPIES = 2
_FIRST_TIMES = 3


class Canary:
    """Times the fixed work and remembers its usual duration in this process."""

    def __init__(self) -> None:
        """Time the work a few times, so that the first trial can be compared with them."""
        self._target = memoryview(bytearray(_BLOCK))
        self._piece()  # the first use of its memory is slower
        self._ordered: list[float] = []  # sorted, because a run can have 10,000 times
        self._last = 0.0
        for _ in range(_FIRST_TIMES):
            self.time()

    @property
    def usual_seconds(self) -> float:
        """Return the median of all times; it adapts to a machine that slows down as it heats up."""
        middle = len(self._ordered) // 2
        return (self._ordered[middle] + self._ordered[-middle - 1]) / 2

    @property
    def last_seconds(self) -> float:
        """Return the latest time."""
        return self._last

    def time(self) -> float:
        """Do the work and return its duration in seconds."""
        self._last = self.work()
        insort(self._ordered, self._last)
        return self._last

    def work(self) -> float:
        """Return the median duration of the work's pieces, about 0.02 seconds."""
        return median(self._piece() for _ in range(_PIECES))

    def _piece(self) -> float:
        start = perf_counter()
        _interpret()
        for _ in range(_COPIES):
            self._target[:] = _BLOCK
        return perf_counter() - start


def _interpret() -> int:
    value = 0
    for number in range(_ROUNDS):
        value = (value * 31 + number) & 0xFFFF
    return value
