"""The environments that were made, in the user's cache."""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from bench.cache import LOCK_SUFFIX, cache_folder, lock, replace
from bench.machine.environments.blueprint import Blueprint

_MANIFEST = "environment.json"


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """An environment that was made.

    Attributes:
        blueprint: what it was made from.
        python: its Python's version.
        packages: the version of each package that it resolved to, by canonical name.
        tool: what made it, `uv` or `pip`.
        made_at: when, in UTC.
    """

    blueprint: Blueprint
    python: str
    packages: dict[str, str]
    tool: str
    made_at: str


def environments_folder() -> Path:
    """Where they lie, one folder each."""
    return cache_folder() / "environments"


def folder_of(blueprint: Blueprint) -> Path:
    """The environment's folder, whether it is there or not."""
    return environments_folder() / blueprint.name


def interpreter_of(folder: Path) -> str:
    """The Python of the environment in a folder."""
    return str(folder / "bin" / "python")


def read(folder: Path) -> Environment | None:
    """The environment in the folder; None where there is none, or one that was not finished."""
    try:
        found = msgspec.json.decode((folder / _MANIFEST).read_bytes(), type=Environment)
    except (OSError, msgspec.MsgspecError):
        return None
    return found if os.access(interpreter_of(folder), os.X_OK) else None


def write(folder: Path, environment: Environment) -> None:
    """Say that the environment is finished: the last step of making it."""
    replace(folder / _MANIFEST, msgspec.json.format(msgspec.json.encode(environment)))


def all_environments() -> Iterator[tuple[Path, Environment]]:
    """Every finished environment, by name."""
    with contextlib.suppress(OSError):
        for folder in sorted(environments_folder().iterdir()):
            if (found := read(folder)) is not None:
                yield folder, found


@contextmanager
def only_one(folder: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold what stands for the folder, so that no other process makes or removes it meanwhile.

    The kernel takes the lock back when the process ends, in whatever way.

    Args:
        folder: of the environment.
        waiting: called when another process holds it, before waiting for that one.
    """
    with lock(folder.with_name(f"{folder.name}{LOCK_SUFFIX}"), waiting):
        yield


def size_of(folder: Path) -> int:
    """Bytes on the disk of all files in the folder, each counted once."""
    blocks = {}
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                found = os.lstat(os.path.join(place, name))
                blocks[found.st_dev, found.st_ino] = found.st_blocks
    return sum(blocks.values()) * 512


def remove(folder: Path, waiting: Callable[[], None]) -> None:
    """Remove the environment."""
    with only_one(folder, waiting):
        shutil.rmtree(folder)
