"""A folder of decoded arrays: four .npy files and an index with their sizes and checksums.

The runner writes the folder once. Every worker maps it into memory, which takes almost no time and
lets all workers share the same pages. Runs on Python 3.9.
"""

from __future__ import annotations

import hashlib
import io
import math
import zlib
from pathlib import Path
from typing import NamedTuple, Union

import msgspec
import numpy as np

from bench.data.idx import open_idx
from bench.errors import DataError
from bench.spec.shapes import Shape
from bench.spec.weights import IntArray

FORMAT = 2  # increase it when the contents change, so that older folders are not used

_INDEX = "index.json"
_CHUNK_BYTES = 2**18
_MEND = "delete the folder to have it created again"


class Dataset(NamedTuple):
    """A data set whose arrays are memory-mapped and read-only.

    Attributes:
        name: of the data set, for reports.
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
        """Return an image's (height, width, channels), with 1 channel if the files state none."""
        height, width, *channels = self.train_images.shape[1:]
        return height, width, *(channels or [1])


class ArrayFile(msgspec.Struct, frozen=True):
    """The expected contents of one .npy file.

    Attributes:
        shape: of the array.
        size: of the file, in bytes; it ends with the values.
        crc32: of the file.
        sha256: of the uncompressed IDX file that it was decoded from.
    """

    shape: Shape
    size: int
    crc32: int
    sha256: str


class Index(msgspec.Struct, frozen=True):
    """The expected contents of a decoded folder.

    Attributes:
        name: of the data set.
        classes: one more than the largest label.
        arrays: by the array's name in `Dataset`.
    """

    name: str
    classes: int
    arrays: dict[str, ArrayFile]


class _SealedIndex(msgspec.Struct, frozen=True):
    """The index file: the index and its checksum."""

    crc32: int
    index: Index


def open_decoded(folder: Union[str, Path]) -> Dataset:
    """Map a decoded folder into memory.

    Only sizes are checked; the runner has checked the contents with `is_whole`.

    Raises:
        DataError: a file is missing or has another size than the index states.
    """
    index = read_index(Path(folder))
    arrays = {name: map_array(Path(folder), name, file) for name, file in index.arrays.items()}
    return Dataset(index.name, index.classes, **arrays)


def map_array(folder: Path, name: str, file: ArrayFile) -> IntArray:
    """Map one array of a folder into memory, read-only.

    Args:
        folder: of the decoded data set.
        name: of the array in `Dataset`.
        file: the expected contents.

    Raises:
        DataError: the file is missing or has another size than expected.
    """
    path = folder / f"{name}.npy"
    try:
        size = path.stat().st_size
        if size != file.size:
            raise DataError(path, f"{size:,} bytes", f"{file.size:,} bytes", _MEND)
        # The shape is known, so the .npy header, which is for other programs, is skipped.
        offset = file.size - math.prod(file.shape)
        mapped = np.memmap(path, np.uint8, mode="r", offset=offset, shape=file.shape)
        return np.asarray(mapped)  # frameworks expect a plain array, not a memmap
    except OSError as error:
        received = f"a file that cannot be opened ({error.strerror})"
        raise DataError(path, received, f"{file.size:,} bytes", _MEND) from error


def is_whole(folder: Path) -> bool:
    """Return whether a folder exists and every byte in it is as it was written."""
    try:
        arrays = read_index(folder).arrays
        return all(_is_intact(folder / f"{name}.npy", file) for name, file in arrays.items())
    except (DataError, OSError):
        return False


def decode(source: Path, target: Path) -> ArrayFile:
    """Convert an IDX file to an .npy file in chunks, so that it may be larger than the memory.

    Returns:
        The contents of the .npy file.

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
    """Write the index with its own checksum into the folder."""
    sealed = msgspec.json.encode(_SealedIndex(_checksum(index), index))
    (folder / _INDEX).write_bytes(msgspec.json.format(sealed) + b"\n")


def read_index(folder: Path) -> Index:
    """Read the index of a decoded folder.

    Raises:
        DataError: the index is missing, incomplete or changed.
    """
    path = folder / _INDEX
    try:
        sealed = msgspec.json.decode(path.read_bytes(), type=_SealedIndex)
        if sealed.crc32 != _checksum(sealed.index):
            raise ValueError("its checksum differs")
        return sealed.index
    except (OSError, ValueError, RecursionError) as error:
        received = f"an index that cannot be read ({error})"
        raise DataError(path, received, "the index of a decoded data set", _MEND) from error


def _checksum(index: Index) -> int:
    return zlib.crc32(msgspec.json.encode(index))


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
