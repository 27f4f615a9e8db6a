"""Reads what a run left behind, whoever wrote it: bounded, and nothing of it is executed."""

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TypeVar

import msgspec

from bench.errors import RecordError
from bench.records.manifest import Manifest
from bench.records.migration import can_migrate, migrated
from bench.records.predictions import EXPLANATIONS, PICTURES, Explanation, Pictures
from bench.records.trial import CERTIFICATES, MANIFEST, TRIALS, TrialRecord
from bench.spec.job import SCHEMA_VERSION
from bench.verification.certificate import Certificate

# Bytes: a hundred thousand trials of 3 KB each, as many as a plan may have, and room beside them.
LARGEST_FILE = 2**30
LONGEST_LINE = 2**26  # bytes: a trial of some hundred thousand epochs

T = TypeVar("T")


class Run(msgspec.Struct, frozen=True):
    """A run as read from its folder. Without certificates and the like where none were made."""

    folder: Path
    manifest: Manifest
    trials: list[TrialRecord]
    certificates: list[Certificate] = []
    explanations: list[Explanation] = []
    pictures: Pictures | None = None


def read_run(folder: Path) -> Run:
    """Read a run folder. A last line that was cut off while it was written is left out.

    Of a trial that ran again, the last record stands.

    Raises:
        RecordError: no run there, or a file that is not what it should be.
    """
    manifest = _decode(folder / MANIFEST, _read(folder / MANIFEST), Manifest)
    path = folder / TRIALS
    records = {record.trial: record for record in _lines(path, TrialRecord)}
    told = {each.trial: each for each in _lines(folder / EXPLANATIONS, Explanation)}
    return Run(
        folder,
        manifest,
        list(records.values()),
        _certificates(folder / CERTIFICATES),
        list(told.values()),
        _optional(folder / PICTURES, Pictures),
    )


def whole_lines(file: BinaryIO) -> Iterator[bytes]:
    """The lines that end in a newline: what follows the last was being written when it stopped.

    Raises:
        RecordError: a line is longer than any record.
    """
    while line := file.readline(LONGEST_LINE):
        if line.endswith(b"\n"):
            yield line
        elif len(line) == LONGEST_LINE:
            raise RecordError(
                f"{file.name}: received a line of more than {LONGEST_LINE:,} bytes, expected one "
                "record a line"
            )


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """The file, if it is one of a run."""
    try:
        status = path.stat()  # reading a pipe or a device could wait, or never end
        if not stat.S_ISREG(status.st_mode) or status.st_size > LARGEST_FILE:
            raise RecordError(
                f"{path}: received no regular file, or one of {status.st_size:,} bytes, expected "
                f"a file of a run of at most {LARGEST_FILE:,}"
            )
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise RecordError(
            f"{path}: cannot be read: {error.strerror}; expected a folder that `bench run` wrote"
        ) from error


def _read(path: Path) -> bytes:
    with _opened(path) as file:
        return file.read()


def _optional(path: Path, kind: type[T]) -> T | None:
    """What the file holds; None where it is not there."""
    return _decode(path, _read(path), kind) if path.exists() else None


def _certificates(path: Path) -> list[Certificate]:
    """Read each certificate; none where the file does not exist."""
    items: list[msgspec.Raw] = _optional(path, list[msgspec.Raw]) or []
    return [
        _decode(path, bytes(item), Certificate, f" certificate {number}")
        for number, item in enumerate(items, start=1)
    ]


def _lines(path: Path, kind: type[T]) -> Iterator[T]:
    """What each line holds; nothing where the file is not there."""
    if not path.exists():
        return
    with _opened(path) as file:
        for number, line in enumerate(whole_lines(file), start=1):
            yield _decode(path, line, kind, f" line {number}")


def _decode(path: Path, text: bytes, kind: type[T], place: str = "") -> T:
    try:
        value = msgspec.json.decode(text, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        version = _version_of(text, kind)
        if can_migrate(version, SCHEMA_VERSION):
            return _migrated(path, text, kind, place, version)
        _check_version(version, path, place)  # another version is the better reason
        raise RecordError(f"{path}{place}: not as expected: {error}") from error
    version = getattr(value, "schema_version", SCHEMA_VERSION)
    if can_migrate(version, SCHEMA_VERSION):
        return _migrated(path, text, kind, place, version)
    _check_version(version, path, place)
    return value


def _migrated(path: Path, text: bytes, kind: type[T], place: str, version: int) -> T:
    """Migrate what an older version wrote, step by step."""
    try:
        return msgspec.convert(migrated(msgspec.json.decode(text), version, SCHEMA_VERSION), kind)
    except (msgspec.MsgspecError, LookupError, TypeError, ValueError) as error:
        raise RecordError(
            f"{path}{place}: of schema version {version} and not as expected: {error}"
        ) from error


def _check_version(version: int, path: Path, place: str) -> None:
    if version != SCHEMA_VERSION:
        raise RecordError(
            f"{path}{place}: received schema version {version}, expected {SCHEMA_VERSION}: "
            "read it with the version of evenbench that wrote it"
        )


class _Versioned(msgspec.Struct):
    """The version of any file. Only the certificates of version 1 did not state theirs."""

    schema_version: int = 1


def _version_of(text: bytes, kind: type) -> int:
    """Return the version of a file that does not decode; this version if its kind has none."""
    if "schema_version" not in getattr(kind, "__struct_fields__", ()):
        return SCHEMA_VERSION
    try:
        return msgspec.json.decode(text, type=_Versioned).schema_version
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return SCHEMA_VERSION
