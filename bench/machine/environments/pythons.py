"""Finding a Python of a version that a recipe can use, among those that are on this machine."""

import os
import shutil
import sys
from pathlib import Path

from packaging.specifiers import SpecifierSet

from bench.errors import InterpreterError
from bench.machine.environments.inspection import held_by

_NEWEST_MINOR = 20  # of Python 3: names beyond it are not tried


def find_python(wanted: str) -> str | None:
    """The path of a Python in the range, this one if it fits; None where there is none.

    Looks at this interpreter, at `python3.12` and the like on the PATH, and at what pyenv holds,
    the newest first.

    Args:
        wanted: a range of versions as pip writes it, `>=3.9,<3.12`; empty is any.
    """
    fits = SpecifierSet(wanted)
    for path in (sys.executable, *_on_path(), *_of_pyenv()):
        version = _version(path)
        if version is not None and fits.contains(version):
            return path
    return None


def known_pythons() -> list[str]:
    """The version of every Python that is found, for the message that none of them fits."""
    found = (_version(path) for path in (sys.executable, *_on_path(), *_of_pyenv()))
    return list(dict.fromkeys(version for version in found if version))


def _on_path() -> list[str]:
    names = [f"python3.{minor}" for minor in range(_NEWEST_MINOR, 8, -1)]
    return [path for name in (*names, "python3") if (path := shutil.which(name))]


def _of_pyenv() -> list[str]:
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    found = [path for path in (root / "versions").glob("3.*/bin/python") if path.is_file()]
    return [str(path) for path in sorted(found, key=_by_version, reverse=True)]


def _by_version(path: Path) -> list[int]:
    return [int(part) for part in path.parents[1].name.split(".") if part.isdigit()]


def _version(path: str) -> str | None:
    try:
        return held_by(path).python
    except InterpreterError:  # a pyenv shim without a version, or an old Python
        return None
