"""What adopting a backend costs: its packages, their size, and the lines of its adapter.

The packages are the framework and everything that it requires, according to their metadata. Other
packages in the same environment do not count.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import Distribution, distributions
from typing import NamedTuple

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from backends.api import Recipe
from backends.registry import installed_version
from bench.errors import InterpreterError
from bench.machine.environments.pythons import inspect_interpreter
from bench.machine.hardware import describe_machine
from bench.records.manifest import Installation
from bench.verification.sources import files_of


class _Place(NamedTuple):
    """An environment: its Python's version, and its packages by canonical name."""

    python: str
    installed: Mapping[str, Distribution]


def installation_of(recipe: Recipe) -> Installation | None:
    """Describe the backend's installation; None if it is not installed."""
    if installed_version(recipe) is None:
        return None
    try:
        place = _place(recipe.interpreter)
    except InterpreterError:  # it was removed after the command had started
        return None
    names = sorted(_closure(recipe.requirements, place))
    return Installation(
        requirements=recipe.requirements,
        python=place.python,
        own_environment=bool(recipe.interpreter),
        packages={name: place.installed[name].version for name in names},
        size_bytes=sum(_size(place.installed[name]) for name in names),
        adapter_lines=_lines(recipe),
    )


@cache
def _place(interpreter: str) -> _Place:
    if not interpreter:
        return _Place(describe_machine().python, _by_name(distributions()))
    contents = inspect_interpreter(interpreter)
    return _Place(contents.python, _by_name(distributions(path=list(contents.path))))


def _by_name(found: Iterable[Distribution]) -> dict[str, Distribution]:
    """Keep the first package of each name, which is the one that an import finds."""
    named: dict[str, Distribution] = {}
    for each in found:
        if name := each.metadata["Name"]:
            named.setdefault(canonicalize_name(name), each)
    return named


def _closure(requirements: Iterable[str], place: _Place) -> set[str]:
    """Collect the canonical names of all installed direct and indirect requirements."""
    found: set[str] = set()
    seen: set[tuple[str, str]] = set()
    waiting = [(Requirement(text), "") for text in requirements]
    while waiting:
        requirement, extra = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name not in place.installed or not _applies(requirement, extra, place.python):
            continue
        found.add(name)
        for wanted in {"", *requirement.extras}:
            if (name, wanted) not in seen:
                seen.add((name, wanted))
                needs = place.installed[name].requires or ()
                waiting += [(Requirement(text), wanted) for text in needs]
    return found


def _applies(requirement: Requirement, extra: str, python: str) -> bool:
    """Return whether a requirement with an extra applies to a version of Python."""
    if requirement.marker is None:
        return not extra  # required without any extra
    short = ".".join(python.split(".")[:2])
    return requirement.marker.evaluate(
        {"extra": extra, "python_version": short, "python_full_version": python}
    )


def _size(package: Distribution) -> int:
    """Add up the sizes of the package's files, in bytes.

    A line of RECORD contains path, hash and size; files of compiled Python have no size. Creating
    the paths in `package.files` would take a second for the 50,000 files of a large environment.
    """
    listed = (package.read_text("RECORD") or "").splitlines()
    sizes = (line.rpartition(",")[2] for line in listed)
    return sum(int(size) for size in sizes if size)


def _lines(recipe: Recipe) -> int:
    """Count the lines of the adapter's source code, without empty ones."""
    module = recipe.adapter.partition(":")[0]
    files = files_of(module.rpartition(".")[0] or module)
    return sum(bool(line.strip()) for file in files for line in file.read_text().splitlines())
