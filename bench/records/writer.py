"""Write the folder of a run. A record is on the disk before the terminal shows it."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
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
    """The folder of a run: first its manifest and certificates, then one line per trial.

    A lock ensures that only one process writes to a folder. It is released when the context or the
    process ends, even if the process is killed.
    """

    def __init__(self, path: Path) -> None:
        """Create the folder of a new run.

        Args:
            path: the folder. It may exist if it is empty, or if a run was killed in it before it
                had written its manifest.

        Raises:
            RecordError: the folder contains other files, or cannot be created or written.
        """
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RecordError(f"{path}: cannot be the run's folder: {error.strerror}") from error
        self.path = path
        _check_unused(path)
        self._lock = _lock(path)
        try:
            _check_unused(path)  # another run may have started and ended before the lock was taken
            self._trials = _open_trials(path, os.O_CREAT)
        except RecordError:
            self._lock.release()
            raise

    @classmethod
    def reopen(cls, path: Path) -> "RunFolder":
        """Open the folder of an earlier run to append to it.

        An incomplete last line, which a killed process leaves, is removed.

        Args:
            path: the folder.

        Raises:
            RecordError: the folder has no records, another process writes to it, or it cannot be
                written.
        """
        folder = cls.__new__(cls)
        folder.path = path
        folder._lock = _lock(path)
        try:
            folder._trials = _open_trials(path, 0)
            for name in (TRIALS, EXPLANATIONS):
                if (path / name).exists():
                    _remove_incomplete_line(path / name)
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
        """Write the manifest, or replace it.

        Raises:
            RecordError: the folder cannot be written.
        """
        self._write(MANIFEST, msgspec.json.encode(manifest))

    def write_certificates(self, certificates: list[Certificate]) -> None:
        """Write the certificates of the run's contenders, or replace them.

        Raises:
            RecordError: the folder cannot be written.
        """
        self._write(CERTIFICATES, msgspec.json.encode(certificates))

    def write_pictures(self, pictures: Pictures) -> None:
        """Write the images that a report may draw, or replace them.

        Raises:
            RecordError: the folder cannot be written.
        """
        self._write(PICTURES, msgspec.json.encode(pictures))

    def append_explanation(self, explanation: Explanation) -> None:
        """Append the predictions of a trained model.

        Raises:
            RecordError: the folder cannot be written.
        """
        path = self.path / EXPLANATIONS
        with _writing(path), open(path, "ab", opener=_no_link) as file:
            file.write(msgspec.json.encode(explanation) + b"\n")

    def append(self, record: TrialRecord) -> None:
        """Append a record, and return when it is on the disk.

        Raises:
            RecordError: the folder cannot be written or was removed. The message says where the
                record was saved instead.
        """
        line = msgspec.json.encode(record) + b"\n"
        try:
            _write_all(self._trials, line)
            # Writing to a removed file succeeds, but nobody can read it.
            if os.fstat(self._trials).st_nlink == 0:
                raise FileNotFoundError(0, "it was removed")
        except OSError as error:
            raise RecordError(
                f"{self.path / TRIALS}: cannot be written: {error.strerror}; {_rescue(line)}"
            ) from error

    def _write(self, name: str, text: bytes) -> None:
        """Write a JSON file with indentation, atomically."""
        path = self.path / name
        with _writing(path):
            replace(path, msgspec.json.format(text, indent=2) + b"\n", durable=True)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Raise RecordError if the block cannot write the file."""
    try:
        yield
    except OSError as error:
        raise RecordError(f"{path}: cannot be written: {error.strerror}") from error


def _check_unused(path: Path) -> None:
    """Check that the folder contains no records and no other files of the user."""
    try:
        names = sorted(entry.name for entry in path.iterdir() if not _precedes_manifest(entry))
    except OSError as error:
        raise RecordError(f"{path}: cannot be the run's folder: {error.strerror}") from error
    if names:
        raise RecordError(
            f"{path}: the folder is not empty, it contains {names[0]}: name a new folder with "
            "--output, or continue its run with --resume"
        )


def _precedes_manifest(entry: Path) -> bool:
    """Return whether a run creates this file before its manifest."""
    if entry.name == TRIALS:
        return entry.is_file() and not entry.is_symlink() and entry.stat().st_size == 0
    return entry.name == LOCK_SUFFIX or is_partial(entry, MANIFEST)


def _remove_incomplete_line(path: Path) -> None:
    """Truncate the file after its last newline."""
    with _writing(path), open(path, "r+b", opener=_no_link) as file:
        file.truncate(sum(map(len, whole_lines(file))))


def _no_link(path: str, flags: int) -> int:
    """Open a file of the folder; refuse a symbolic link, which may point outside it."""
    return os.open(path, flags | os.O_NOFOLLOW, 0o666)


def _lock(path: Path) -> BaseFileLock:
    """Take the lock of the folder."""
    with _writing(path):
        lock = try_lock(path / LOCK_SUFFIX)
    if lock is None:
        raise RecordError(
            f"{path}: another run is writing to this folder; name another with --output"
        )
    return lock


def _open_trials(path: Path, flags: int) -> int:
    """Open the records for appending, and return the file descriptor."""
    # O_NOFOLLOW refuses a symbolic link; O_NONBLOCK makes opening a pipe fail instead of wait.
    flags |= os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK
    with _writing(path / TRIALS):
        descriptor = os.open(path / TRIALS, flags, 0o666)
        sync_folder(path)
    return descriptor


def _write_all(descriptor: int, text: bytes) -> None:
    """Write the text, and wait until it is on the disk."""
    while text:
        text = text[os.write(descriptor, text) :]
    os.fsync(descriptor)


def _rescue(line: bytes) -> str:
    """Save a record that its folder cannot store as a temporary file, and say where it is."""
    try:
        with tempfile.NamedTemporaryFile(
            prefix="evenbench-record-", suffix=".jsonl", delete=False
        ) as file:
            file.write(line)
    except OSError:
        return f"the record could not be saved, it reads: {line.decode()}"
    return f"the record was saved to {file.name}"
