"""Where commands print: results to standard output, all else to standard error."""

from rich.console import Console

# A pipe or a file has no width: wide enough that no table is cut.
_WIDTH_WITHOUT_TERMINAL = 160


def result_console(quiet: bool = False) -> Console:
    """The console of a command's results."""
    return _plain(stderr=False, quiet=quiet)


def message_console(quiet: bool = False) -> Console:
    """The console of progress and notes: lines that are not broken, so that they can be copied."""
    console = _plain(stderr=True, quiet=quiet)
    console.soft_wrap = True
    return console


def _plain(stderr: bool, quiet: bool) -> Console:
    """A console that shows text as it is: what looks like markup may be a user's own name."""
    console = Console(stderr=stderr, quiet=quiet, highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = _WIDTH_WITHOUT_TERMINAL
    return console
