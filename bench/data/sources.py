"""Finds the four IDX files of a data set: MNIST in this package, others in the user's folder."""

import hashlib
import json
import os
import re
from pathlib import Path
from typing import NamedTuple

from bench.data.decoded import FORMAT
from bench.errors import DataError

_MNIST = Path(__file__).parent / "mnist"

# Of the uncompressed files that the MNIST database publishes.
_MNIST_SHA256 = {
    "train_images": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train_labels": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "test_images": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "test_labels": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}

# For each array, a file's name must contain one word of each set.
_WORDS = {
    "train_images": ({"train"}, {"images"}),
    "train_labels": ({"train"}, {"labels"}),
    "test_images": ({"t10k", "test"}, {"images"}),
    "test_labels": ({"t10k", "test"}, {"labels"}),
}
_STANDARD = {
    "train_images": "train-images-idx3-ubyte",
    "train_labels": "train-labels-idx1-ubyte",
    "test_images": "t10k-images-idx3-ubyte",
    "test_labels": "t10k-labels-idx1-ubyte",
}
_SHOWN_NAMES = 8


class Source(NamedTuple):
    """The files of a data set.

    Attributes:
        name: of the data set.
        files: by the array's name in `bench.data.decoded.Dataset`.
        sha256: of each file's uncompressed contents, by the array's name; empty if unknown.
    """

    name: str
    files: dict[str, Path]
    sha256: dict[str, str]

    def key(self) -> str:
        """Return a name for the decoded contents; equal keys mean equal contents.

        The key depends on the digests of the contents if they are known, otherwise on the path,
        size and modification time of each file.

        Raises:
            DataError: a file cannot be read.
        """
        facts = self.sha256 or [_identity(path) for path in self.files.values()]
        return hashlib.sha256(json.dumps([FORMAT, self.name, facts]).encode()).hexdigest()[:32]


def mnist() -> Source:
    """Return the MNIST database that is part of this package."""
    files = {name: _MNIST / f"{standard}.gz" for name, standard in _STANDARD.items()}
    return Source("mnist", files, _MNIST_SHA256)


def find_source(folder: Path) -> Source:
    """Find the four IDX files of a data set, which is named after its folder.

    A file is recognised by the words in its name: `idx`; `images` or `labels`; and `train`, `t10k`
    or `test`. For example, both `train-images-idx3-ubyte.gz` and
    `emnist-letters-test-labels-idx1-ubyte` are recognised. If a file exists with and without .gz,
    the one without is used.

    Raises:
        DataError: the folder cannot be read, or one of the four files is missing or ambiguous.
    """
    folder = Path(os.path.abspath(folder))
    entries = _entries(folder)
    files = {name: _choose(folder, name, entries) for name in _WORDS}
    return Source(folder.name, files, {})


def _entries(folder: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in folder.iterdir() if not entry.is_dir())
    except (OSError, ValueError) as error:
        received = f"a folder that cannot be read ({error})"
        expected = "a folder with the four IDX files of a data set"
        raise DataError(folder, received, expected, "check its permissions") from error


def _choose(folder: Path, name: str, entries: list[str]) -> Path:
    found = [entry for entry in entries if _matches(entry, name)]
    plain = {entry for entry in found if not entry.endswith(".gz")}
    found = [entry for entry in found if entry in plain or entry.removesuffix(".gz") not in plain]
    what = name.replace("_", " ")
    if len(found) == 1:
        return folder / found[0]
    expected = f"one file of {what}, such as {_STANDARD[name]} or {_STANDARD[name]}.gz"
    if found:
        mend = "put each data set into its own folder"
        raise DataError(folder, f"several files of {what} ({_listed(found)})", expected, mend)
    received = f"no file of {what} (only {_listed(entries) or 'an empty folder'})"
    raise DataError(folder, received, expected, "add the file, or name the folder that contains it")


def _matches(entry: str, name: str) -> bool:
    words = set(re.findall(r"[a-z0-9]+", entry.lower()))
    is_idx = any(word.startswith("idx") for word in words)
    return is_idx and all(words & wanted for wanted in _WORDS[name])


def _listed(names: list[str]) -> str:
    more = ["..."] if len(names) > _SHOWN_NAMES else []
    return ", ".join(names[:_SHOWN_NAMES] + more)


def _identity(path: Path) -> tuple[str, int, int]:
    try:
        status = path.stat()
    except OSError as error:
        received = f"a file that cannot be opened ({error.strerror})"
        raise DataError(
            path, received, "a readable file", "check its path and permissions"
        ) from error
    return str(path), status.st_size, status.st_mtime_ns
