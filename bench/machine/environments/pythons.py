"""Finds the Pythons of this machine, and asks one for its version and its packages."""

import json
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import msgspec
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from bench.errors import InterpreterError

OLDEST_PYTHON = (3, 9)
_NEWEST_MINOR = 20  # later versions of Python 3 are not looked for
_SECONDS = 60.0  # a cold disk
_SCRIPT = """
import json, sys
version = list(sys.version_info[:3])
found = {}
if version >= [3, 8]:
    from importlib.metadata import distributions
    for each in distributions():
        found.setdefault(each.metadata["Name"] or "", each.version)
print(json.dumps([version, sys.path, found]))
"""


class InterpreterContents(msgspec.Struct, frozen=True):
    """An interpreter's version and packages.

    Attributes:
        python: the version, for example 3.11.7.
        path: the folders in which it looks for packages.
        packages: the version of each package, by canonical name.
    """

    python: str
    path: tuple[str, ...]
    packages: dict[str, str]


@cache
def inspect_interpreter(interpreter: str) -> InterpreterContents:
    """Ask an interpreter for its version and packages.

    Raises:
        InterpreterError: the file is missing, is no Python, does not answer, or is too old for a
            worker.
    """
    if not Path(interpreter).is_file():
        raise InterpreterError(f"{interpreter} does not exist; name the path of a Python")
    try:
        done = subprocess.run(
            [interpreter, "-c", _SCRIPT],
            env=_environment_variables(),
            cwd="/",  # Python looks for packages first in the folder where it is started
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=True,
        )
        version, path, packages = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise InterpreterError(
            f"{interpreter} does not answer as a Python interpreter: {error}"
        ) from error
    if tuple(version) < OLDEST_PYTHON:
        raise InterpreterError(
            f"{interpreter} is Python {_dotted(version)}; workers need 3.9 or newer"
        )
    versions = {str(canonicalize_name(name)): found for name, found in packages.items() if name}
    return InterpreterContents(_dotted(version), tuple(filter(None, path)), versions)


def _dotted(version: list[int]) -> str:
    return ".".join(map(str, version))


def _environment_variables() -> dict[str, str]:
    """Copy this process's variables, without those that point to this environment's packages."""
    left_out = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    return {name: value for name, value in os.environ.items() if name not in left_out}


def find_python(wanted: str) -> str | None:
    """Find a Python in a range of versions; this interpreter if it is suitable.

    Looks at this interpreter, at `python3.12` and the like on the PATH, and at the versions that
    pyenv has installed, the newest first.

    Args:
        wanted: a range of versions in pip's syntax, `>=3.9,<3.12`; empty for any version.

    Returns:
        The path of the interpreter, or None if there is none.
    """
    specifier = SpecifierSet(wanted)
    for path in (sys.executable, *_on_path(), *_of_pyenv()):
        version = _version(path)
        if version is not None and specifier.contains(version):
            return path
    return None


def known_pythons() -> list[str]:
    """List the versions of all Pythons on this machine, for the message that none is suitable."""
    versions = (_version(path) for path in (sys.executable, *_on_path(), *_of_pyenv()))
    return list(dict.fromkeys(version for version in versions if version))


def _on_path() -> list[str]:
    names = [f"python3.{minor}" for minor in range(_NEWEST_MINOR, 8, -1)]
    return [path for name in (*names, "python3") if (path := shutil.which(name))]


def _of_pyenv() -> list[str]:
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    paths = [path for path in (root / "versions").glob("3.*/bin/python") if path.is_file()]
    return [str(path) for path in sorted(paths, key=_by_version, reverse=True)]


def _by_version(path: Path) -> list[int]:
    return [int(part) for part in path.parents[1].name.split(".") if part.isdigit()]


def _version(path: str) -> str | None:
    try:
        return inspect_interpreter(path).python
    except InterpreterError:  # a pyenv shim without a version, or an old Python
        return None
