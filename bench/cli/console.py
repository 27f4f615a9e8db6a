"""Where commands print: results to standard output, all else to standard error."""

import contextlib
import os
import sys
from typing import TextIO

from rich.console import Console

# A pipe or a file has no width: wide enough that no table is cut.
_WIDTH_WITHOUT_TERMINAL = 160


def result_console(quiet: bool = False) -> Console:
    """The console of a command's results."""
    return _plain(sys.stdout, quiet=quiet)


def message_console(quiet: bool = False) -> Console:
    """The console of progress and notes: lines that are not broken, so that they can be copied."""
    console = _plain(sys.stderr, quiet=quiet)
    console.soft_wrap = True
    return console


def _plain(stream: TextIO, quiet: bool) -> Console:
    """A console that shows text as it is: what looks like markup may be a user's own name."""
    file: TextIO = Lasting(stream)  # type: ignore[assignment]
    console = Console(file=file, quiet=quiet, highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = _WIDTH_WITHOUT_TERMINAL
    return console


class Lasting:
    """A stream whose reader may go away: a closed terminal or pipe costs what is printed there.

    The run, its records and its report go on.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Print the text, or leave it where nobody listens any more."""
        try:
            return self._stream.write(text)
        except OSError:
            _silence(self._stream)
        return len(text)

    def flush(self) -> None:
        """Hand on what was printed."""
        try:
            self._stream.flush()
        except OSError:
            _silence(self._stream)

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


def _silence(stream: TextIO) -> None:
    """Point the descriptor nowhere, so that what is buffered, too, can go when Python ends."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
