"""Reads IDX, the file format of MNIST, raw or compressed with gzip.

A file consists of two zero bytes, the code of the value type, the number of dimensions, each
dimension as a big-endian 32-bit number, and the values. Only unsigned bytes, code 8, are supported.

The header of an untrusted file is not trusted: values are read in chunks, so that memory is
allocated only for bytes that exist, and reading stops at the first byte beyond the header's shape.
"""

from __future__ import annotations

import gzip
import io
import math
import stat
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bench.errors import DataError
from bench.spec.shapes import Shape
from bench.spec.weights import IntArray

MAX_BYTES = 4 * 2**30
MAX_DIMENSIONS = 4

_CHUNK_BYTES = 2**20
_GZIP_MAGIC = b"\x1f\x8b"
_UNSIGNED_BYTE = 8
_DOWNLOAD_AGAIN = "download the file again"
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
}


class IdxStream(NamedTuple):
    """An open IDX file.

    Attributes:
        shape: the dimensions, each 1 or more.
        header: all bytes before the values.
        chunks: yields the values, at most 1 MiB at a time; raises DataError if their number does
            not match the shape.
    """

    shape: Shape
    header: bytes
    chunks: Iterator[bytes]


@contextmanager
def open_idx(path: Path) -> Iterator[IdxStream]:
    """Open an IDX file, raw or gzip, and read its header.

    The contents of the file, not its name, decide whether it is decompressed.

    Yields:
        The open file.

    Raises:
        DataError: not a readable regular file, or not an IDX file of unsigned bytes with 1 to
            `MAX_DIMENSIONS` dimensions and at most `MAX_BYTES` bytes.
    """
    with _open(path) as file:
        magic = _read(file, 4, path)
        _check_magic(magic, path)
        sizes = _read(file, 4 * magic[3], path)
        shape = _shape(sizes, magic[3], path)
        yield IdxStream(shape, magic + sizes, _chunks(file, math.prod(shape), path))


def read_idx(path: Path) -> IntArray:
    """Read a whole file.

    Returns:
        A uint8 array of the shape in the file's header.

    Raises:
        DataError: as `open_idx`, or there are more or fewer values than the header states.
    """
    values = bytearray()
    with open_idx(path) as idx:
        for chunk in idx.chunks:
            values += chunk
    return np.frombuffer(values, np.uint8).reshape(idx.shape)


def _open(path: Path) -> io.BufferedIOBase:
    try:
        kind = stat.S_IFMT(path.stat().st_mode)
        if kind != stat.S_IFREG:  # reading a pipe or a device may block or never end
            received = _KINDS.get(kind, "something else")
            raise DataError(path, received, "a regular file", "name the data file itself")
        with path.open("rb") as file:
            is_gzip = file.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
        return gzip.open(path) if is_gzip else path.open("rb")
    except OSError as error:
        received = f"a file that cannot be opened ({error.strerror})"
        raise DataError(
            path, received, "a readable file", "check its path and permissions"
        ) from error


def _read(file: io.BufferedIOBase, size: int, path: Path) -> bytes:
    try:
        return file.read(size)
    except (EOFError, OSError, zlib.error) as error:
        received = f"contents that cannot be read ({error})"
        raise DataError(path, received, "a whole file, raw or gzip", _DOWNLOAD_AGAIN) from error


def _check_magic(magic: bytes, path: Path) -> None:
    is_bytes = magic[:3] == bytes([0, 0, _UNSIGNED_BYTE])
    if len(magic) < 4 or not is_bytes or not 1 <= magic[3] <= MAX_DIMENSIONS:
        raise DataError(
            path,
            f"the first bytes '{magic.hex(' ')}'",
            f"'00 00 08' and then 01 to 0{MAX_DIMENSIONS}, the magic number of IDX files of "
            "unsigned bytes",
            "convert the file to IDX, raw or compressed with gzip",
        )


def _shape(sizes: bytes, dimensions: int, path: Path) -> Shape:
    if len(sizes) < 4 * dimensions:
        expected = f"{dimensions} dimensions of 4 bytes each"
        raise DataError(
            path, f"a header cut off after {4 + len(sizes)} bytes", expected, _DOWNLOAD_AGAIN
        )
    shape: Shape = struct.unpack(f">{dimensions}I", sizes)
    if not 0 < math.prod(shape) <= MAX_BYTES:
        raise DataError(
            path,
            f"a header of {' x '.join(map(str, shape))} values",
            f"each dimension 1 or more, and at most {MAX_BYTES:,} values in total",
            "check that this is the right file, or split the data set",
        )
    return shape


def _chunks(file: io.BufferedIOBase, stated: int, path: Path) -> Iterator[bytes]:
    expected = f"the {stated:,} that its header states"
    left = stated
    while left:
        chunk = _read(file, min(left, _CHUNK_BYTES), path)
        if not chunk:
            raise DataError(path, f"only {stated - left:,} values", expected, _DOWNLOAD_AGAIN)
        left -= len(chunk)
        yield chunk
    if _read(file, 1, path):
        raise DataError(path, f"more than {stated:,} values", expected, _DOWNLOAD_AGAIN)
