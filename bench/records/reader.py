"""Read a run folder.

The folder may come from anybody, so sizes are limited, only regular files are read and nothing in
them is executed.
"""

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TypeVar

import msgspec

from bench.errors import RecordError
from bench.records.manifest import Manifest
from bench.records.migration import can_migrate, migrate
from bench.records.predictions import EXPLANATIONS, PICTURES, Explanation, Pictures
from bench.records.trial import CERTIFICATES, MANIFEST, TRIALS, TrialRecord
from bench.spec.job import SCHEMA_VERSION
from bench.verification.certificate import Certificate

LARGEST_FILE = 2**30  # bytes: three times the size of 100,000 trials of 3 KB each
LONGEST_LINE = 2**26  # bytes: one trial with several hundred thousand epochs

T = TypeVar("T")


class Run(msgspec.Struct, frozen=True):
    """A run that was read from its folder.

    Attributes:
        folder: the folder.
        manifest: the manifest.
        trials: the last record of each trial, in the order of the file.
        certificates: the certificates; empty if the run made none.
        explanations: predictions of trained models; empty if the run stored none.
        pictures: the test images that a report may draw; None if the run stored none.
    """

    folder: Path
    manifest: Manifest
    trials: list[TrialRecord]
    certificates: list[Certificate] = []
    explanations: list[Explanation] = []
    pictures: Pictures | None = None


def read_run(folder: Path) -> Run:
    """Read a run folder, and migrate it if an older version wrote it.

    An incomplete last line, which a killed run leaves, is skipped. If a trial was measured more
    than once, its last record is used.

    Raises:
        RecordError: the folder contains no run, or one of its files is invalid.
    """
    manifest = _decode(folder / MANIFEST, _read(folder / MANIFEST), Manifest)
    records = {each.trial: each for each in _read_lines(folder / TRIALS, TrialRecord)}
    explanations = {each.trial: each for each in _read_lines(folder / EXPLANATIONS, Explanation)}
    return Run(
        folder,
        manifest,
        list(records.values()),
        _read_certificates(folder / CERTIFICATES),
        list(explanations.values()),
        _read_optional(folder / PICTURES, Pictures),
    )


def whole_lines(file: BinaryIO) -> Iterator[bytes]:
    """Yield the lines that end in a newline.

    A last line without a newline is incomplete: the process that wrote it was killed.

    Raises:
        RecordError: a line is longer than any record can be.
    """
    while line := file.readline(LONGEST_LINE):
        if line.endswith(b"\n"):
            yield line
        elif len(line) == LONGEST_LINE:
            raise RecordError(
                f"{file.name}: a line has more than {LONGEST_LINE:,} bytes, expected one record "
                "per line"
            )


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """Open a regular file of limited size for reading."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # reading from a pipe or a device may never end
            raise RecordError(f"{path}: not a regular file, expected a file that `bench run` wrote")
        if status.st_size > LARGEST_FILE:
            raise RecordError(
                f"{path}: the file has {status.st_size:,} bytes, expected at most {LARGEST_FILE:,}"
            )
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise RecordError(
            f"{path}: cannot be read: {error.strerror}; name a folder that `bench run` wrote"
        ) from error


def _read(path: Path) -> bytes:
    with _opened(path) as file:
        return file.read()


def _read_optional(path: Path, kind: type[T]) -> T | None:
    """Decode a file that a run need not have; return None if it does not exist."""
    return _decode(path, _read(path), kind) if path.exists() else None


def _read_certificates(path: Path) -> list[Certificate]:
    """Decode each certificate; return an empty list if the file does not exist."""
    # Each certificate has a schema version, so each is decoded, and perhaps migrated, separately.
    items: list[msgspec.Raw] = _read_optional(path, list[msgspec.Raw]) or []
    return [
        _decode(path, bytes(item), Certificate, f" certificate {number}")
        for number, item in enumerate(items, start=1)
    ]


def _read_lines(path: Path, kind: type[T]) -> Iterator[T]:
    """Decode each complete line; yield nothing if the file does not exist."""
    if not path.exists():
        return
    with _opened(path) as file:
        for number, line in enumerate(whole_lines(file), start=1):
            yield _decode(path, line, kind, f" line {number}")


def _decode(path: Path, text: bytes, kind: type[T], place: str = "") -> T:
    """Decode one value, and migrate it if an older version wrote it.

    Args:
        path: the file, for error messages.
        text: the value in JSON.
        kind: the type of the value.
        place: the value's place in the file, for error messages.
    """
    try:
        value = msgspec.json.decode(text, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        version = _version_of(text, kind)
        if can_migrate(version, SCHEMA_VERSION):
            return _decode_older(path, text, kind, place, version)
        _check_version(version, path, place)  # a newer version explains the error better
        raise RecordError(f"{path}{place}: invalid: {error}") from error
    version = getattr(value, "schema_version", SCHEMA_VERSION)
    if can_migrate(version, SCHEMA_VERSION):
        return _decode_older(path, text, kind, place, version)
    _check_version(version, path, place)
    return value


def _decode_older(path: Path, text: bytes, kind: type[T], place: str, version: int) -> T:
    """Decode a value of an older schema version and migrate it."""
    try:
        return msgspec.convert(migrate(msgspec.json.decode(text), version, SCHEMA_VERSION), kind)
    except (msgspec.MsgspecError, LookupError, TypeError, ValueError) as error:
        raise RecordError(
            f"{path}{place}: invalid for schema version {version}: {error}"
        ) from error


def _check_version(version: int, path: Path, place: str) -> None:
    """Check that this version of evenbench can read the schema version."""
    if version != SCHEMA_VERSION:
        raise RecordError(
            f"{path}{place}: received schema version {version}, expected {SCHEMA_VERSION}: "
            "read it with the version of evenbench that wrote it"
        )


class _Versioned(msgspec.Struct):
    """The schema version of any file.

    Attributes:
        schema_version: the version; 1 if it is absent, as in the certificates of version 1.
    """

    schema_version: int = 1


def _version_of(text: bytes, kind: type) -> int:
    """Read only the schema version of a value that cannot be decoded as its kind.

    Returns:
        The value's version, or the current one if the kind has no version or the text is not JSON.
    """
    if "schema_version" not in getattr(kind, "__struct_fields__", ()):
        return SCHEMA_VERSION
    try:
        return msgspec.json.decode(text, type=_Versioned).schema_version
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return SCHEMA_VERSION
