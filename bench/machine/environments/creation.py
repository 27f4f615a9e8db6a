"""Creates an environment: finds a suitable Python, makes a virtual environment, installs packages.

uv is used where it is installed, because it can also download a Python; otherwise venv and pip are
used.
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
from bench.machine.environments.pythons import find_python, inspect_interpreter, known_pythons
from bench.machine.environments.store import (
    WORKER_REQUIREMENTS,
    Blueprint,
    Environment,
    exclusive,
    folder_of,
    interpreter_of,
    read,
    write,
)

_LIBRARY = "lib:"
# What pip and uv print when the package index does not answer. They also print that no package
# matches, so these messages are looked for first.
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
    """A tool, with the commands that create an empty environment and install packages into it."""

    name: str
    create: Callable[[Blueprint, Path], list[str]]
    install: Callable[[str], list[str]]


def create_environment(blueprint: Blueprint, notify: Callable[[str], None]) -> Path:
    """Create an environment unless it exists.

    Args:
        blueprint: what to create it from.
        notify: called with a message before each step that takes time.

    Returns:
        The environment's folder.

    Raises:
        EnvironmentCreationError: the environment cannot be created. Its folder is removed.
    """
    folder = folder_of(blueprint)
    requirements = ", ".join(blueprint.requirements)
    message = f"waiting for another run that creates the environment for {requirements}"
    with exclusive(folder, lambda: notify(message)):
        if read(folder) is not None:
            return folder
        _check_system_packages(blueprint)
        notify(f"creating an environment for {requirements}")
        try:
            shutil.rmtree(folder, ignore_errors=True)  # left by an earlier attempt
            write(folder, _create(blueprint, folder))
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
    return folder


def missing_system_packages(packages: dict[str, str]) -> list[str]:
    """List the Debian packages whose program or library is not found on this machine.

    Args:
        packages: see `Recipe.system_packages`.
    """
    return [package for package, mark in packages.items() if not _is_present(mark)]


def _create(blueprint: Blueprint, folder: Path) -> Environment:
    tool = _tool()
    interpreter = interpreter_of(folder)
    _call(tool.create(blueprint, folder))
    _call([*tool.install(interpreter), *blueprint.requirements, *WORKER_REQUIREMENTS])
    inspect_interpreter.cache_clear()  # an earlier environment may have had this path
    try:
        contents = inspect_interpreter(interpreter)
    except InterpreterError as error:
        raise EnvironmentCreationError(str(error)) from error
    return Environment(
        blueprint=blueprint,
        python=contents.python,
        packages=contents.packages,
        tool=tool.name,
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _is_present(mark: str) -> bool:
    if mark.startswith(_LIBRARY):
        return ctypes.util.find_library(mark.removeprefix(_LIBRARY)) is not None
    return shutil.which(mark) is not None


def _check_system_packages(blueprint: Blueprint) -> None:
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
        lambda blueprint, folder: [uv, "venv", "--python", _python_for_uv(blueprint), str(folder)],
        lambda interpreter: [uv, "pip", "install", "--python", interpreter],
    )


def _python_for_uv(blueprint: Blueprint) -> str:
    """Prefer the Python that venv would use; otherwise let uv find or download one."""
    return find_python(blueprint.python) or blueprint.python


def _create_by_venv(blueprint: Blueprint, folder: Path) -> list[str]:
    python = find_python(blueprint.python)
    if python is None:
        raise EnvironmentCreationError(
            f"{blueprint.backend} needs Python {blueprint.python}, found only "
            f"{', '.join(known_pythons())}; add such a Python to the PATH, or install uv, which "
            f"can download it: {Path(sys.executable).name} -m pip install uv"
        )
    return [python, "-m", "venv", str(folder)]


def _install_by_pip(interpreter: str) -> list[str]:
    quiet = ("--disable-pip-version-check", "--no-input", "--progress-bar", "off")
    return [interpreter, "-m", "pip", "install", *quiet]


def _call(command: Sequence[str]) -> None:
    """Run a command.

    Raises:
        EnvironmentCreationError: the command failed. The message contains the reason it printed.
    """
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        raise EnvironmentCreationError(_reason(command, done.stdout))


def _reason(command: Sequence[str], output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    if _NO_INDEX.search(output):
        line = next(line for line in reversed(lines) if _NO_INDEX.search(line))
        return f"the package index cannot be reached; connect and try again ({line:.300})"
    if _NO_MATCH.search(output):
        line = next(line for line in reversed(lines) if _NO_MATCH.search(line))
        return f"no versions of the packages meet all requirements on this Python: {line:.400}"
    return f"{' '.join(command):.200} failed: {' / '.join(lines[-_TAIL_LINES:]):.600}"
