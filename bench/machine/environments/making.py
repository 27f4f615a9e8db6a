"""Making an environment: a Python that fits, a virtual environment, the packages.

uv makes it where it is installed, since it brings Pythons of its own; else venv and pip do.
"""

import ctypes.util
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from bench.errors import EnvironmentCreationError, InterpreterError
from bench.machine.environments.blueprint import WORKER_REQUIREMENTS, Blueprint
from bench.machine.environments.inspection import held_by
from bench.machine.environments.pythons import find_python, known_pythons
from bench.machine.environments.store import (
    Environment,
    folder_of,
    interpreter_of,
    only_one,
    read,
    write,
)

Tell = Callable[[str], None]
_LIBRARY = "lib:"
# In what pip and uv say when no server answers; both say too that nothing matches.
_NO_INDEX = re.compile(
    r"Temporary failure in name resolution|Failed to establish a new connection"
    r"|Network is unreachable|Connection refused|Connection reset|Read timed out|dns error"
    r"|error sending request|tcp connect error|Cannot connect to proxy|client error \(Connect\)",
    re.IGNORECASE,
)
_NO_MATCH = re.compile(
    r"No matching distribution|ResolutionImpossible|No solution found|Could not find a version",
    re.IGNORECASE,
)
_TAIL_LINES = 6


class _Tool(NamedTuple):
    """What makes environments."""

    name: str
    create: Callable[[Blueprint, Path], list[str]]
    install: Callable[[str], list[str]]


def make(blueprint: Blueprint, tell: Tell) -> Path:
    """The folder of the environment, made now unless it is there.

    Args:
        blueprint: what it is made from.
        tell: called with a sentence before each step that takes time.

    Raises:
        EnvironmentCreationError: it cannot be made. Nothing of it is left.
    """
    folder = folder_of(blueprint)
    wanted = ", ".join(blueprint.requirements)
    with only_one(folder, lambda: tell(f"waiting for another run to make it: {wanted}")):
        if read(folder) is not None:
            return folder
        _check_system(blueprint)
        tell(f"making an environment of its own: {wanted}")
        try:
            shutil.rmtree(folder, ignore_errors=True)  # what an earlier attempt left
            write(folder, _made(blueprint, folder))
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
    return folder


def _made(blueprint: Blueprint, folder: Path) -> Environment:
    tool = _tool()
    interpreter = interpreter_of(folder)
    _call(tool.create(blueprint, folder))
    _call([*tool.install(interpreter), *blueprint.requirements, *WORKER_REQUIREMENTS])
    held_by.cache_clear()  # an earlier environment could have had this path
    try:
        held = held_by(interpreter)
    except InterpreterError as error:
        raise EnvironmentCreationError(str(error)) from error
    return Environment(
        blueprint=blueprint,
        python=held.python,
        packages=held.packages,
        tool=tool.name,
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def missing_system_packages(packages: dict[str, str]) -> list[str]:
    """Those Debian packages whose program or library is not found here."""
    return [package for package, mark in packages.items() if not _is_there(mark)]


def _is_there(mark: str) -> bool:
    if mark.startswith(_LIBRARY):
        return ctypes.util.find_library(mark.removeprefix(_LIBRARY)) is not None
    return shutil.which(mark) is not None


def _check_system(blueprint: Blueprint) -> None:
    missing = missing_system_packages(blueprint.system_packages)
    if missing:
        names = " ".join(missing)
        raise EnvironmentCreationError(
            f"{blueprint.backend} needs {names}; on Debian: apt install {names}"
        )


def _tool() -> _Tool:
    uv = shutil.which("uv")
    if uv is None:
        return _Tool("pip", _create_by_venv, _install_by_pip)
    return _Tool(
        "uv",
        lambda blueprint, folder: [uv, "venv", *_asked_of_uv(blueprint), str(folder)],
        lambda interpreter: [uv, "pip", "install", "--python", interpreter],
    )


def _asked_of_uv(blueprint: Blueprint) -> list[str]:
    """This Python where it fits, as without uv; else whichever uv finds or fetches."""
    fitting = find_python(blueprint.python)
    return ["--python", fitting or blueprint.python]


def _create_by_venv(blueprint: Blueprint, folder: Path) -> list[str]:
    python = find_python(blueprint.python)
    if python is None:
        raise EnvironmentCreationError(
            f"{blueprint.backend} needs Python {blueprint.python}, found "
            f"{', '.join(known_pythons())}: put such a Python on the PATH, or install uv, which "
            f"brings it: {Path(sys.executable).name} -m pip install uv"
        )
    return [python, "-m", "venv", str(folder)]


def _install_by_pip(interpreter: str) -> list[str]:
    quiet = ("--disable-pip-version-check", "--no-input", "--progress-bar", "off")
    return [interpreter, "-m", "pip", "install", *quiet]


def _call(command: Sequence[str]) -> None:
    """Run the command.

    Raises:
        EnvironmentCreationError: it failed; says in its own words why.
    """
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        raise EnvironmentCreationError(_reason(command, done.stdout))


def _reason(command: Sequence[str], output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    if _NO_INDEX.search(output):
        said = next(line for line in reversed(lines) if _NO_INDEX.search(line))
        return f"the package index cannot be reached; connect, and try again ({said:.300})"
    if _NO_MATCH.search(output):
        said = next(line for line in reversed(lines) if _NO_MATCH.search(line))
        return f"these requirements cannot be met together, or on this Python: {said:.400}"
    return f"{' '.join(command):.200} failed: {' / '.join(lines[-_TAIL_LINES:]):.600}"
