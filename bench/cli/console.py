"""The consoles of commands: results go to standard output, everything else to standard error."""

import contextlib
import os
import sys
from typing import TextIO

from rich.console import Console

# A pipe or a file has no width; this is wide enough for every table.
_WIDTH_WITHOUT_TERMINAL = 160


def result_console(quiet: bool = False) -> Console:
    """Return the console of a command's results."""
    return _plain(sys.stdout, quiet=quiet)


def message_console(quiet: bool = False) -> Console:
    """Return the console of progress and notes; it does not wrap lines, so they can be copied."""
    console = _plain(sys.stderr, quiet=quiet)
    console.soft_wrap = True
    return console


def _plain(stream: TextIO, quiet: bool) -> Console:
    """Return a console that prints text unchanged: what looks like markup may be a user's name."""
    file: TextIO = Lasting(stream)  # type: ignore[assignment]
    console = Console(file=file, quiet=quiet, highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = _WIDTH_WITHOUT_TERMINAL
    return console


class Lasting:
    """A stream whose reader may disappear: a closed terminal or pipe only loses what is printed.

    The run, its records and its report are not affected.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write the text, or drop it if the reader has disappeared."""
        try:
            return self._stream.write(text)
        except OSError:
            _silence(self._stream)
        return len(text)

    def flush(self) -> None:
        """Flush the stream."""
        try:
            self._stream.flush()
        except OSError:
            _silence(self._stream)

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


def _silence(stream: TextIO) -> None:
    """Redirect the stream to the null device, so that Python can flush its buffer at exit."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
