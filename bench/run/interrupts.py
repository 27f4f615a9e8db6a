"""Ctrl-C, an end from outside and a closed terminal, taken where nothing can be torn.

The first of them stops the worker that runs, or the next one before it starts; its record and the
report are still written. A second Ctrl-C ends at once: every file is written whole or not at all.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """Turns the signals into KeyboardInterrupt, at once only where a worker is waited for.

    Attributes:
        asked: whether the user, or the system, asked for the end.
    """

    def __init__(self) -> None:
        self.asked = False
        self._waiting = False

    def listen(self) -> None:
        """Take the signals from here on."""
        for number in SIGNALS:
            signal.signal(number, self._take)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """The stretch in which a signal raises KeyboardInterrupt; one that came before does now."""
        self._waiting = True
        try:
            if self.asked:
                raise KeyboardInterrupt
            yield
        finally:
            self._waiting = False

    def _take(self, number: int, frame: FrameType | None) -> None:
        # A closed terminal is often told twice, by the kernel and by the shell.
        is_second = self.asked and number == signal.SIGINT
        waited, self._waiting = self._waiting, False
        self.asked = True
        if waited or is_second:
            raise KeyboardInterrupt
