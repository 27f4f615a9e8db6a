"""The folder of a run, as it is written: every record is on the disk when the terminal shows it."""

import os
import tempfile
from pathlib import Path

import msgspec
from filelock import BaseFileLock

from bench.cache import LOCK_SUFFIX, is_partial, replace, sync_folder, try_lock
from bench.errors import RecordError
from bench.records.manifest import Manifest
from bench.records.predictions import EXPLANATIONS, PICTURES, Explanation, Pictures
from bench.records.reader import whole_lines
from bench.records.trial import CERTIFICATES, MANIFEST, TRIALS, TrialRecord
from bench.verification.certificate import Certificate


class RunFolder:
    """Writes a run: the manifest and the certificates first, then a line for each trial.

    Only one process writes a folder: it holds a lock until the context ends or the process does,
    even if it is killed.
    """

    def __init__(self, path: Path) -> None:
        """Make the folder; one may exist that is empty, or where a run was killed at its start.

        Raises:
            RecordError: the folder holds something, or cannot be made or written.
        """
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RecordError(f"{path}: cannot be the run's folder: {error.strerror}") from error
        self.path = path
        _check_unused(path)
        self._lock = _lock(path)
        try:
            _check_unused(path)  # another run may have started and ended in between
            self._trials = _open_trials(path, os.O_CREAT)
        except RecordError:
            self._lock.release()
            raise

    @classmethod
    def reopen(cls, path: Path) -> "RunFolder":
        """Go on with a run: what a killed process left of a last line is cut off.

        Raises:
            RecordError: there are no records, another process writes them, or they cannot be
                written.
        """
        folder = cls.__new__(cls)
        folder.path = path
        folder._lock = _lock(path)
        try:
            folder._trials = _open_trials(path, 0)
            for name in (TRIALS, EXPLANATIONS):
                if (path / name).exists():
                    _cut(path / name)
        except RecordError:
            folder._lock.release()
            raise
        return folder

    def __enter__(self) -> "RunFolder":
        return self

    def __exit__(self, *_: object) -> None:
        """Close the records and release the lock."""
        os.close(self._trials)
        self._lock.release()

    def write_manifest(self, manifest: Manifest) -> None:
        """Write the manifest.

        Raises:
            RecordError: the folder cannot be written.
        """
        self._write(MANIFEST, msgspec.json.encode(manifest))

    def write_certificates(self, certificates: list[Certificate]) -> None:
        """Write the certificates of the run's contenders.

        Raises:
            RecordError: the folder cannot be written.
        """
        self._write(CERTIFICATES, msgspec.json.encode(certificates))

    def write_pictures(self, pictures: Pictures) -> None:
        """Write the images that a report may draw.

        Raises:
            RecordError: the folder cannot be written.
        """
        self._write(PICTURES, msgspec.json.encode(pictures))

    def append_explanation(self, explanation: Explanation) -> None:
        """Append what a trained model answers.

        Raises:
            RecordError: the folder cannot be written.
        """
        path = self.path / EXPLANATIONS
        try:
            with open(path, "ab", opener=_no_link) as file:
                file.write(msgspec.json.encode(explanation) + b"\n")
        except OSError as error:
            raise RecordError(f"{path}: cannot be written: {error.strerror}") from error

    def append(self, record: TrialRecord) -> None:
        """Append the record; it is on the disk when this returns.

        Raises:
            RecordError: the folder cannot be written or is gone; says where the record is instead.
        """
        line = msgspec.json.encode(record) + b"\n"
        try:
            _write_all(self._trials, line)
            if os.fstat(self._trials).st_nlink == 0:
                raise FileNotFoundError(0, "it was removed")
        except OSError as error:
            raise RecordError(
                f"{self.path / TRIALS}: cannot be written: {error.strerror}; {_rescue(line)}"
            ) from error

    def _write(self, name: str, text: bytes) -> None:
        data = msgspec.json.format(text, indent=2) + b"\n"
        try:
            replace(self.path / name, data, durable=True)
        except OSError as error:
            raise RecordError(f"{self.path / name}: cannot be written: {error.strerror}") from error


def _check_unused(path: Path) -> None:
    """See that no record, and nothing of anybody else's, is in the folder."""
    try:
        held = sorted(entry.name for entry in path.iterdir() if not _is_unwritten(entry))
    except OSError as error:
        raise RecordError(f"{path}: cannot be the run's folder: {error.strerror}") from error
    if held:
        raise RecordError(
            f"{path}: received a folder that holds {held[0]}, expected a new or empty one: name "
            "another with --output, or go on with a run by --resume"
        )


def _is_unwritten(entry: Path) -> bool:
    """Whether it is what a run leaves that was killed before its manifest was written."""
    if entry.name == TRIALS:
        return entry.is_file() and not entry.is_symlink() and entry.stat().st_size == 0
    return entry.name == LOCK_SUFFIX or is_partial(entry, MANIFEST)


def _cut(path: Path) -> None:
    """Cut off what follows the last whole line."""
    try:
        with open(path, "r+b", opener=_no_link) as file:
            file.truncate(sum(map(len, whole_lines(file))))
    except OSError as error:
        raise RecordError(f"{path}: cannot be written: {error.strerror}") from error


def _no_link(path: str, flags: int) -> int:
    """Open what is in the folder, not what a link in it points to."""
    return os.open(path, flags | os.O_NOFOLLOW, 0o666)


def _lock(path: Path) -> BaseFileLock:
    try:
        held = try_lock(path / LOCK_SUFFIX)
    except OSError as error:
        raise RecordError(f"{path}: cannot be written: {error.strerror}") from error
    if held is None:
        raise RecordError(f"{path}: another run is writing it: name another folder with --output")
    return held


def _open_trials(path: Path, flags: int) -> int:
    """Open the records for appending; a link, a pipe or a device is refused."""
    flags |= os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        descriptor = os.open(path / TRIALS, flags, 0o666)
        sync_folder(path)
    except OSError as error:
        raise RecordError(f"{path / TRIALS}: cannot be written: {error.strerror}") from error
    return descriptor


def _write_all(descriptor: int, text: bytes) -> None:
    while text:
        text = text[os.write(descriptor, text) :]
    os.fsync(descriptor)


def _rescue(line: bytes) -> str:
    """Put a record that its folder does not take where temporary files go."""
    try:
        with tempfile.NamedTemporaryFile(
            prefix="evenbench-record-", suffix=".jsonl", delete=False
        ) as file:
            file.write(line)
    except OSError:
        return f"the record is lost but for this line: {line.decode()}"
    return f"the record is in {file.name}"
