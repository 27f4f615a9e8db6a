"""The exit statuses of commands that measure or rank."""

from collections.abc import Iterable

ALL_MEASURED, SOME_FAILED, NOTHING_MEASURED, INTERRUPTED = 0, 1, 3, 130


def status_of(outcomes: Iterable[str]) -> int:
    """Return the exit status that says how much of the request was measured.

    Args:
        outcomes: of all trials.
    """
    different = set(outcomes)
    if "ok" not in different:
        return NOTHING_MEASURED
    return ALL_MEASURED if different == {"ok"} else SOME_FAILED
