"""When a release appeared, asked of the package index once and kept.

Nothing depends on it: without an index, or where pip is told to use none, the date is unknown.
"""

import contextlib
import json
import os
from typing import Any
from urllib.request import Request, urlopen

from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import Version

from bench.cache import keep
from bench.data.prepare import cache_folder

_SECONDS = 3.0
_LARGEST_ANSWER = 2**26  # bytes
_JSON = "application/vnd.pypi.simple.v1+json"


def release_date(package: str, version: str) -> str | None:
    """The day, in ISO 8601, on which the first file of the release appeared; None if unknown.

    The index is that of pip's or uv's own settings, and its answer PEP 691's with the times of
    PEP 700.

    Args:
        package: the canonical name.
        version: of the release.
    """
    path = cache_folder() / "releases" / f"{package}-{version}.txt"
    with contextlib.suppress(OSError):
        return path.read_text(encoding="utf-8")
    found = _asked(package, version)
    if found:
        keep(path, found.encode())
    return found


def _asked(package: str, version: str) -> str | None:
    index, wanted = _index(), Version(version).public  # an index knows no 2.13.0+cpu
    if not index.startswith(("https://", "http://")):
        return None
    request = Request(f"{index.rstrip('/')}/{package}/", headers={"Accept": _JSON})  # noqa: S310
    try:
        with urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310 - the scheme is checked
            files = json.loads(answer.read(_LARGEST_ANSWER))["files"]
        times = [each["upload-time"] for each in files if _version_of(each) == wanted]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return min(times)[:10] if times else None


def _version_of(file: Any) -> str:
    name = file["filename"]
    with contextlib.suppress(InvalidWheelFilename):
        return str(parse_wheel_filename(name)[1])
    with contextlib.suppress(InvalidSdistFilename):
        return str(parse_sdist_filename(name)[1])
    return ""


def _index() -> str:
    """The address of the package index that pip or uv would ask; empty for none."""
    if os.environ.get("PIP_NO_INDEX") or os.environ.get("UV_OFFLINE"):
        return ""
    named = os.environ.get("PIP_INDEX_URL") or os.environ.get("UV_DEFAULT_INDEX")
    if named:
        return named
    try:
        from pip._internal.models.index import PyPI
    except ImportError:  # an environment without pip
        return ""
    return str(PyPI.simple_url)
