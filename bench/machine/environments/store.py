"""The environments in the cache folder, and the blueprints that they are created from."""

import contextlib
import os
import platform
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import msgspec
from packaging.requirements import Requirement

from backends.api import Recipe
from bench.cache import LOCK_SUFFIX, cache_folder, digest, lock, replace

_MANIFEST = "environment.json"
_BLOCK_BYTES = 512  # the unit of st_blocks
# What a worker imports in addition to its framework.
WORKER_REQUIREMENTS = ("numpy", "msgspec>=0.18.6")
_DIGEST_CHARACTERS = 12


class Blueprint(msgspec.Struct, frozen=True):
    """Everything that determines an environment; equal blueprints share one environment.

    Attributes:
        backend: the backend's name.
        requirements: the packages in pip's syntax, the framework first.
        python: the range of Python versions in pip's syntax; empty for any version.
        system_packages: see `Recipe`.
    """

    backend: str
    requirements: tuple[str, ...]
    python: str = ""
    system_packages: dict[str, str] = {}

    @property
    def name(self) -> str:
        """Return the name of the environment's folder: the backend and a digest of the rest."""
        parts = (self.requirements, self.python, WORKER_REQUIREMENTS, platform.machine())
        return f"{self.backend}-{digest(*parts)[:_DIGEST_CHARACTERS]}"


def blueprint(recipe: Recipe, version: str = "", on_gpu: bool = False) -> Blueprint:
    """Make the blueprint of a backend's environment.

    Args:
        recipe: the backend's recipe.
        version: a version of the framework in pip's syntax (`==2.12.*`) that replaces the
            recipe's. The recipe's lower bounds on other packages are dropped, because they were
            chosen for the recipe's version; its pins (`==`) stay.
        on_gpu: whether the environment is for training on a GPU.
    """
    requirements = (on_gpu and recipe.gpu_requirements) or recipe.requirements
    if version:
        first, *others = map(Requirement, requirements)
        requirements = (f"{_bare(first)}{version}", *map(_unbound, others))
    return Blueprint(recipe.name, requirements, recipe.python, recipe.system_packages)


def _unbound(requirement: Requirement) -> str:
    is_pinned = any(each.operator in ("==", "===") for each in requirement.specifier)
    return str(requirement) if is_pinned else _bare(requirement)


def _bare(requirement: Requirement) -> str:
    """Format the package's name with its extras and without a version."""
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    return f"{requirement.name}{extras}"


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """A complete environment.

    Attributes:
        blueprint: what it was created from.
        python: its Python's version.
        packages: the version of each installed package, by canonical name.
        tool: the tool that created it, `uv` or `pip`.
        made_at: when it was created, in UTC.
    """

    blueprint: Blueprint
    python: str
    packages: dict[str, str]
    tool: str
    made_at: str


def environments_folder() -> Path:
    """Return the folder that contains a folder for each environment."""
    return cache_folder() / "environments"


def folder_of(blueprint: Blueprint) -> Path:
    """Return the folder of an environment, which may not exist yet."""
    return environments_folder() / blueprint.name


def interpreter_of(folder: Path) -> str:
    """Return the path of an environment's Python."""
    return str(folder / "bin" / "python")


def read(folder: Path) -> Environment | None:
    """Read an environment; None if it is missing or incomplete."""
    try:
        environment = msgspec.json.decode((folder / _MANIFEST).read_bytes(), type=Environment)
    except (OSError, msgspec.MsgspecError):
        return None
    return environment if os.access(interpreter_of(folder), os.X_OK) else None


def write(folder: Path, environment: Environment) -> None:
    """Mark an environment as complete, as the last step of creating it."""
    replace(folder / _MANIFEST, msgspec.json.format(msgspec.json.encode(environment)))


def all_environments() -> Iterator[tuple[Path, Environment]]:
    """Yield the folder and description of every complete environment, by name."""
    with contextlib.suppress(OSError):
        for folder in sorted(environments_folder().iterdir()):
            if (environment := read(folder)) is not None:
                yield folder, environment


def exclusive(folder: Path, waiting: Callable[[], None]) -> AbstractContextManager[None]:
    """Prevent other processes from creating or removing the environment during a block.

    `waiting` is called before waiting for another process.
    """
    return lock(folder.with_name(f"{folder.name}{LOCK_SUFFIX}"), waiting)


def size_of(folder: Path) -> int:
    """Compute the bytes that a folder's files take on the disk; hard links count once."""
    blocks = {}
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                status = os.lstat(os.path.join(place, name))
                blocks[status.st_dev, status.st_ino] = status.st_blocks
    return sum(blocks.values()) * _BLOCK_BYTES


def remove(folder: Path, waiting: Callable[[], None]) -> None:
    """Remove an environment.

    Args:
        folder: of the environment.
        waiting: called before waiting for another process that creates or removes it.
    """
    with exclusive(folder, waiting):
        shutil.rmtree(folder)
