"""A canary: a fixed piece of work whose time shows how fast the machine is just now.

It runs between trials, never while something is timed: a stretch of interpreter work, which a
busy neighbour on the core or a lower clock slows down, and copies of memory, which a neighbour on
the memory bus does. The work is cut into pieces of which the median counts: a hiccup shorter than
half of the canary says nothing of a trial.
"""

from bisect import insort
from statistics import median
from time import perf_counter

_PIECES = 5
_ROUNDS = 120_000  # of a piece
_BLOCK = bytes(24 * 2**20)  # more than a core's own caches hold
_COPIES = 2
_FIRST_TIMES = 3


class Canary:
    """Times the fixed work, and knows what it usually takes in this process."""

    def __init__(self) -> None:
        """Time it a few times, so that the first trial has something to be compared with."""
        self._target = memoryview(bytearray(_BLOCK))
        self._piece()  # touches its memory for the first time
        self._ordered: list[float] = []  # so that the median of 10,000 times needs no sorting
        self._last = 0.0
        for _ in range(_FIRST_TIMES):
            self.time()

    @property
    def usual_seconds(self) -> float:
        """The median of all times so far: it follows a machine that slows down as it warms up."""
        middle = len(self._ordered) // 2
        return (self._ordered[middle] + self._ordered[-middle - 1]) / 2

    @property
    def last_seconds(self) -> float:
        """The latest time."""
        return self._last

    def time(self) -> float:
        """Do the work and return what it took."""
        self._last = self.work()
        insort(self._ordered, self._last)
        return self._last

    def work(self) -> float:
        """The seconds of the work's median piece, a fiftieth of one or so."""
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
