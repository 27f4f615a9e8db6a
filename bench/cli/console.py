"""Where commands print: results to standard output, all else to standard error."""

from rich.console import Console

# A pipe or a file has no width: wide enough that no table is cut.
_WIDTH_WITHOUT_TERMINAL = 160


def result_console(quiet: bool = False) -> Console:
    """The console of a command's results."""
    return _wide(Console(quiet=quiet))


def message_console(quiet: bool = False) -> Console:
    """The console of progress and notes."""
    return _wide(Console(stderr=True, quiet=quiet))


def _wide(console: Console) -> Console:
    if not console.is_terminal:
        console.width = _WIDTH_WITHOUT_TERMINAL
    return console
