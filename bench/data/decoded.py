"""A folder of decoded arrays: four .npy files, and an index that says what they must be.

The runner writes it once; every worker maps it into memory, so opening costs next to nothing and
all workers share the same pages. Runs on Python 3.9.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple, Union

import numpy as np

from bench.data.idx import open_idx
from bench.errors import DataError
from bench.spec.shapes import Shape
from bench.spec.weights import IntArray

FORMAT = 1  # raise it when what is written changes: older folders are then no longer found

_INDEX = "index.json"
_CHUNK_BYTES = 2**18
_MEND = "delete the folder, and it is made anew"


class Dataset(NamedTuple):
    """A data set whose arrays are memory-mapped and read-only.

    Attributes:
        name: as reports print it.
        classes: one more than the largest label.
        train_images: (n, height, width) or (n, height, width, channels) uint8.
        train_labels: (n,) uint8.
        test_images: as `train_images`.
        test_labels: as `train_labels`.
    """

    name: str
    classes: int
    train_images: IntArray
    train_labels: IntArray
    test_images: IntArray
    test_labels: IntArray

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of an image; the channels are 1 where the files have none."""
        height, width, *channels = self.train_images.shape[1:]
        return height, width, *(channels or [1])


@dataclass(frozen=True)
class ArrayFile:
    """What is known of one .npy file.

    Attributes:
        shape: of the array.
        size: of the file, in bytes; the values are its last part.
        crc32: of the file.
        sha256: of the uncompressed IDX file that it was made from.
    """

    shape: Shape
    size: int
    crc32: int
    sha256: str


@dataclass(frozen=True)
class Index:
    """What is known of a decoded folder; `arrays` is keyed by the array's name in `Dataset`."""

    name: str
    classes: int
    arrays: dict[str, ArrayFile]


def open_decoded(folder: Union[str, Path]) -> Dataset:
    """Map a decoded folder into memory.

    Sizes are checked, contents are not: the runner does that once, with `is_whole`.

    Raises:
        DataError: a file is missing, or is not of the size that the index says.
    """
    index = read_index(Path(folder))
    arrays = {name: map_array(Path(folder), name, file) for name, file in index.arrays.items()}
    return Dataset(index.name, index.classes, **arrays)


def map_array(folder: Path, name: str, file: ArrayFile) -> IntArray:
    """One array of a folder, memory-mapped and read-only.

    Raises:
        DataError: the file is missing, or is not of the size that `file` says.
    """
    path = folder / f"{name}.npy"
    try:
        size = path.stat().st_size
        if size != file.size:
            raise DataError(path, f"{size:,} bytes", f"{file.size:,} bytes", _MEND)
        # The .npy header is for other programs: mapping the values needs only the known shape.
        offset = file.size - math.prod(file.shape)
        mapped = np.memmap(path, np.uint8, mode="r", offset=offset, shape=file.shape)
        return np.asarray(mapped)  # a plain array on the same pages: frameworks know no memmap
    except OSError as error:
        received = f"a file that cannot be opened ({error.strerror})"
        raise DataError(path, received, f"{file.size:,} bytes", _MEND) from error


def is_whole(folder: Path) -> bool:
    """Whether the folder is there and every byte of it is as it was written."""
    try:
        arrays = read_index(folder).arrays
        return all(_is_intact(folder / f"{name}.npy", file) for name, file in arrays.items())
    except (DataError, OSError):
        return False


def decode(source: Path, target: Path) -> ArrayFile:
    """Write an IDX file as an .npy file, in chunks, whatever its size.

    Raises:
        DataError: the source is not a valid IDX file.
        OSError: the target cannot be written.
    """
    with open_idx(source) as idx, target.open("wb") as file:
        header = _npy_header(idx.shape)
        file.write(header)
        crc32, sha256 = zlib.crc32(header), hashlib.sha256(idx.header)
        for chunk in idx.chunks:
            file.write(chunk)
            crc32 = zlib.crc32(chunk, crc32)
            sha256.update(chunk)
    size = len(header) + math.prod(idx.shape)
    return ArrayFile(idx.shape, size, crc32, sha256.hexdigest())


def write_index(folder: Path, index: Index) -> None:
    """Write the index, with a checksum of itself, into the folder."""
    fields = asdict(index)
    sealed = {"crc32": _checksum(fields), "index": fields}
    (folder / _INDEX).write_text(json.dumps(sealed, indent=2) + "\n", encoding="ascii")


def read_index(folder: Path) -> Index:
    """The index of a decoded folder.

    Raises:
        DataError: it is missing, torn or altered.
    """
    path = folder / _INDEX
    try:
        sealed = json.loads(path.read_bytes())
        fields = sealed["index"]
        if sealed["crc32"] != _checksum(fields):
            raise ValueError("it does not fit its checksum")
        arrays = {name: _array_file(**file) for name, file in fields["arrays"].items()}
        return Index(fields["name"], fields["classes"], arrays)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        received = f"an index that cannot be read ({error})"
        raise DataError(path, received, "the index of a decoded data set", _MEND) from error


def _array_file(shape: list[int], **fields: Any) -> ArrayFile:
    return ArrayFile(shape=tuple(shape), **fields)


def _checksum(fields: Any) -> int:
    return zlib.crc32(json.dumps(fields, sort_keys=True).encode())


def _npy_header(shape: Shape) -> bytes:
    header = io.BytesIO()
    fields = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, fields)
    return header.getvalue()


def _is_intact(path: Path, expected: ArrayFile) -> bool:
    buffer = bytearray(_CHUNK_BYTES)
    size = crc32 = 0
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            size += count
            crc32 = zlib.crc32(memoryview(buffer)[:count], crc32)
    return (size, crc32) == (expected.size, expected.crc32)
