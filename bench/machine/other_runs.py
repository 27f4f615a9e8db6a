"""Which runs measure on this machine now: two at once disturb each other's figures.

Each run holds a locked file in the cache while it measures; the kernel takes the lock back when
the process ends, in whatever way. Runs that use another cache, or another machine's, are not seen.
"""

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_FOLDER = "measuring"
_SUFFIX = ".lock"


@contextmanager
def presence(cache: Path) -> Iterator[None]:
    """Be seen by other runs; a cache that cannot be written makes this run unseen."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            folder = cache / _FOLDER
            folder.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context(
                tempfile.NamedTemporaryFile(dir=folder, prefix=_own(), suffix=_SUFFIX)
            )
            fcntl.flock(file.fileno(), fcntl.LOCK_EX)
        yield


def other_runs(cache: Path) -> int:
    """How many other processes measure now. Files that dead ones left are removed."""
    files = _files(cache / _FOLDER)
    return sum(_is_held(path) for path in files if not path.name.startswith(_own()))


def _own() -> str:
    return f"{os.getpid()}-"


def _files(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if path.suffix == _SUFFIX]
    except OSError:
        return []


def _is_held(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
