"""The digest of source code: a certificate holds for the code that it was made with."""

from __future__ import annotations

import hashlib
import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path


@cache
def digest_of(*packages: str) -> str:
    """SHA-256 over every Python file of the packages, by name and content.

    Raises:
        ModuleNotFoundError: there is no such package.
    """
    digest = hashlib.sha256()
    for package in packages:
        for path in files_of(package):
            digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


@cache
def backend_sources(package: str) -> tuple[str, ...]:
    """A backend's package, and those of `backends` that its code imports, and theirs in turn.

    Flax calls what JAX's adapter has: what changes there can change Flax.
    """
    found = [package]
    for name in found:  # grows while it is gone through
        text = "\n".join(path.read_text(encoding="utf-8") for path in files_of(name))
        named = sorted(set(re.findall(r"^\s*(?:from|import) (backends\.\w+)", text, re.MULTILINE)))
        found += [other for other in named if other not in found]
    return tuple(sorted(found))


def files_of(name: str) -> list[Path]:
    """The files of a package, or the one file of a module.

    Raises:
        ModuleNotFoundError: there is no such package.
    """
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"received {name!r}, expected a module with a source file")
    origin = Path(spec.origin)
    is_package = spec.submodule_search_locations is not None
    return sorted(origin.parent.rglob("*.py")) if is_package else [origin]
