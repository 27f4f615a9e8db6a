"""Finding the processes that a test started, wherever they went."""

import contextlib
import os
import time
from pathlib import Path

import psutil


def started_here(marker: Path) -> list[str]:
    """The other processes whose environment names the folder; what a worker starts inherits it."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            alive = process.status() != psutil.STATUS_ZOMBIE and process.pid != os.getpid()
            if alive and str(marker) in str(process.environ()):
                found.append(f"{process.pid} {process.cmdline()}")
    return found


def none_left(marker: Path, seconds: float = 10) -> bool:
    """Whether all of them are gone; the kernel may take a moment to end one that it kills."""
    deadline = time.monotonic() + seconds
    while started_here(marker):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
