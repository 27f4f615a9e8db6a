"""Counts the runs that measure on this machine: two at once disturb each other's measurements.

Each run holds a lock in the cache folder while it measures. The kernel releases the lock when the
process ends, even if it is killed. Runs that use another cache folder are not seen.
"""

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.cache import LOCK_SUFFIX, try_lock

_FOLDER = "measuring"


@contextmanager
def presence(cache: Path) -> Iterator[None]:
    """Let other runs count this one during the block.

    A cache that cannot be written makes this run invisible to others.
    """
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            folder = cache / _FOLDER
            _announce(folder / f"{_own_prefix()}{os.urandom(4).hex()}{LOCK_SUFFIX}", stack)
        yield


def other_runs(cache: Path) -> int:
    """Count the other processes that measure now, and remove the files of ended ones."""
    files = _lock_files(cache / _FOLDER)
    return sum(_is_held(path) for path in files if not path.name.startswith(_own_prefix()))


def _announce(path: Path, stack: contextlib.ExitStack) -> None:
    held = try_lock(path)
    if held is not None:
        stack.callback(held.release)
        stack.callback(path.unlink, missing_ok=True)


def _own_prefix() -> str:
    return f"{os.getpid()}-"


def _lock_files(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if path.suffix == LOCK_SUFFIX]
    except OSError:
        return []


def _is_held(path: Path) -> bool:
    try:
        held = try_lock(path)
        if held is None:
            return True
        path.unlink(missing_ok=True)
        held.release()
    except OSError:
        return False
    return False
