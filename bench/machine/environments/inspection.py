"""Asks a Python interpreter for its version and its packages."""

import json
import os
import subprocess
from functools import cache
from pathlib import Path

import msgspec
from packaging.utils import canonicalize_name

from bench.errors import InterpreterError

OLDEST_PYTHON = (3, 9)
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

    Args:
        interpreter: the path of a Python interpreter.

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
