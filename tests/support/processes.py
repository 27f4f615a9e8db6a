"""Find the processes that a test has started, directly or through other processes."""

import contextlib
import os
import time
from pathlib import Path

import psutil


def started_here(marker: Path) -> list[str]:
    """List the running processes whose environment contains the path of a folder.

    Processes inherit the environment, so this includes all descendants of a marked process.

    Returns:
        One line per process, with its id and command.
    """
    marked = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):  # it has ended, or belongs to another user
            alive = process.status() != psutil.STATUS_ZOMBIE and process.pid != os.getpid()
            if alive and str(marker) in str(process.environ()):
                marked.append(f"{process.pid} {process.cmdline()}")
    return marked


def none_left(marker: Path, seconds: float = 10) -> bool:
    """Return whether all these processes end within some seconds."""
    deadline = time.monotonic() + seconds
    while started_here(marker):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
