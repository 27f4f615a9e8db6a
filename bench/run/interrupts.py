"""Ctrl-C, SIGTERM and a closed terminal, taken only where no file can be torn.

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
        requested: whether the user, or the system, has requested the end.
    """

    def __init__(self) -> None:
        self.requested = False
        self._waiting = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Handle the signals in this context, and as before after it."""
        handlers = {number: signal.signal(number, self._take) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Let signals raise KeyboardInterrupt in this context; an earlier one raises it now."""
        self._waiting = True
        try:
            if self.requested:
                raise KeyboardInterrupt
            yield
        finally:
            self._waiting = False

    def _take(self, number: int, frame: FrameType | None) -> None:
        # A closed terminal often sends two signals, from the kernel and from the shell.
        is_second = self.requested and number == signal.SIGINT
        waited, self._waiting = self._waiting, False
        self.requested = True
        if waited or is_second:
            raise KeyboardInterrupt
