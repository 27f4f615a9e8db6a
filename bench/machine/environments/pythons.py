"""Finds a Python of a suitable version on this machine."""

import os
import shutil
import sys
from pathlib import Path

from packaging.specifiers import SpecifierSet

from bench.errors import InterpreterError
from bench.machine.environments.inspection import inspect_interpreter

_NEWEST_MINOR = 20  # later versions of Python 3 are not looked for


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
