"""The cache folder, its entries, files that are replaced atomically, and locks between processes.

A cache entry is a file whose name is the digest of everything that its value depends on, so an
entry is never outdated. A cache that is missing or cannot be written only costs the time to compute
the value again.

Workers import this module on Python 3.9. What only the runner needs, platformdirs and filelock, is
therefore imported where it is used.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Optional, TypeVar

import msgspec

if TYPE_CHECKING:
    from filelock import BaseFileLock

CACHE_VARIABLE = "EVENBENCH_CACHE"
LOCK_SUFFIX = ".lock"

_PARTIAL_SUFFIX = ".partial"
_POLL_SECONDS = 0.2  # a waiting process should not disturb a measurement

T = TypeVar("T")


def cache_folder() -> Path:
    """Return the folder that EVENBENCH_CACHE names, by default evenbench in the user's cache."""
    named = os.environ.get(CACHE_VARIABLE)
    if named:
        return Path(named).absolute()
    import platformdirs

    return platformdirs.user_cache_path("evenbench")


def digest(*parts: object) -> str:
    """Compute the SHA-256 digest of values, as hexadecimal digits.

    Args:
        parts: values that msgspec can encode as JSON.
    """
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()


def load(path: Optional[Path], kind: type[T]) -> Optional[T]:
    """Read a cache entry.

    Args:
        path: the entry's file; None where nothing is cached.
        kind: the type that the entry was stored from.

    Returns:
        The value, or None if there is no such entry or its file is damaged.
    """
    if path is None:
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.MsgspecError):
        return None


def store(path: Optional[Path], value: object) -> None:
    """Write a cache entry; do nothing if the cache cannot be written.

    Args:
        path: the entry's file; None where nothing is cached.
        value: what msgspec can encode as JSON.
    """
    if path is not None:
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            replace(path, msgspec.json.encode(value))


def replace(path: Path, data: bytes, *, durable: bool = False) -> None:
    """Write a file atomically; see `replacing`."""
    with replacing(path, durable=durable) as file:
        file.write(data)


@contextmanager
def replacing(path: Path, *, durable: bool = False) -> Iterator[IO[bytes]]:
    """Open a temporary file that takes the path's place when the block ends without an error.

    A reader sees the old file or the whole new one. Processes may write the same path at once; the
    last one wins. A symbolic link at the path is replaced, never followed.

    Args:
        path: the file to write; its folder exists.
        durable: whether the new file must survive a loss of power once the block has ended.

    Yields:
        The temporary file, in the same folder.

    Raises:
        OSError: the file cannot be written. The old file is unchanged.
    """
    partial = path.with_name(f".{path.name}.{os.urandom(8).hex()}{_PARTIAL_SUFFIX}")
    try:
        with partial.open("xb") as file:
            yield file
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    if durable:
        sync_folder(path.parent)


def is_partial(entry: Path, name: str) -> bool:
    """Return whether a file is what a killed process left of replacing the file of that name."""
    return entry.name.startswith(f".{name}.") and entry.suffix == _PARTIAL_SUFFIX


def sync_folder(folder: Path) -> None:
    """Wait until the names of the files in a folder are on the disk.

    Raises:
        OSError: the folder is missing or the disk reports an error.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def lock(path: Path, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold a lock during the block, after waiting for another process that holds it.

    Args:
        path: the lock's file, which is created with its folders. It remains when the lock is
            released.
        waiting: called once before waiting for another process.

    Raises:
        OSError: the file cannot be created or opened.
    """
    held = try_lock(path)
    if held is None:
        waiting()
        held = _new_lock(path)
        held.acquire(poll_interval=_POLL_SECONDS)
    try:
        yield
    finally:
        held.release()


def try_lock(path: Path) -> Optional[BaseFileLock]:
    """Take a lock unless another process or another caller in this process holds it.

    The kernel releases the lock when this process ends, even if it is killed.

    Args:
        path: the lock's file, which is created with its folders.

    Returns:
        The lock, which the caller releases; None if it is held elsewhere.

    Raises:
        OSError: the file cannot be created or opened.
    """
    from filelock import Timeout

    held = _new_lock(path)
    try:
        held.acquire(blocking=False)
    except Timeout:
        return None
    return held


def _new_lock(path: Path) -> BaseFileLock:
    from filelock import FileLock

    # One thread may take the lock and another one release it.
    return FileLock(path, thread_local=False)
