"""Digests of source code. A certificate is valid only for the code that it was made with."""

from __future__ import annotations

import hashlib
import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path


@cache
def digest_of(*packages: str) -> str:
    """Compute the SHA-256 digest of the names and contents of all Python files of the packages.

    Raises:
        ModuleNotFoundError: a package does not exist.
    """
    digest = hashlib.sha256()
    for package in packages:
        for path in files_of(package):
            digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


@cache
def backend_sources(package: str) -> tuple[str, ...]:
    """Return a backend's package and all packages of `backends` that it imports, directly or not.

    A change to the adapter of JAX, for example, can change the results of Flax.
    """
    sources = [package]
    for name in sources:  # the list grows during the loop
        text = "\n".join(path.read_text(encoding="utf-8") for path in files_of(name))
        imports = set(re.findall(r"^\s*(?:from|import) (backends\.\w+)", text, re.MULTILINE))
        sources += [other for other in sorted(imports) if other not in sources]
    return tuple(sorted(sources))


def files_of(name: str) -> list[Path]:
    """Return the Python files of a package, or the file of a module.

    Raises:
        ModuleNotFoundError: the package does not exist or has no source files.
    """
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"{name!r} is not a module with a source file")
    origin = Path(spec.origin)
    is_package = spec.submodule_search_locations is not None
    return sorted(origin.parent.rglob("*.py")) if is_package else [origin]
