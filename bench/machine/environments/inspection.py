"""What an interpreter's environment holds, asked of the interpreter itself."""

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


class Held(msgspec.Struct, frozen=True):
    """What an environment holds.

    Attributes:
        python: its Python's version, 3.11.7.
        path: the folders in which it looks for packages.
        packages: the version of each package, by canonical name.
    """

    python: str
    path: tuple[str, ...]
    packages: dict[str, str]


@cache
def held_by(interpreter: str) -> Held:
    """Ask the interpreter what it can import.

    Args:
        interpreter: the path of a Python.

    Raises:
        InterpreterError: it is none, does not answer, or is too old for a worker.
    """
    if not Path(interpreter).is_file():
        raise InterpreterError(f"received {interpreter}, expected the path of a Python")
    try:
        done = subprocess.run(
            [interpreter, "-c", _SCRIPT],
            env=_own_variables(),
            cwd="/",  # the folder it starts in is the first in which it looks
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=True,
        )
        version, path, packages = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise InterpreterError(
            f"received {interpreter}, expected a Python that answers: {error}"
        ) from error
    if tuple(version) < OLDEST_PYTHON:
        raise InterpreterError(
            f"received {interpreter}, a Python {_dotted(version)}, expected 3.9 or newer"
        )
    named = {str(canonicalize_name(name)): found for name, found in packages.items() if name}
    return Held(_dotted(version), tuple(filter(None, path)), named)


def _dotted(version: list[int]) -> str:
    return ".".join(map(str, version))


def _own_variables() -> dict[str, str]:
    """This process's, without those that would show it this environment's packages."""
    left_out = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    return {name: value for name, value in os.environ.items() if name not in left_out}
