"""One IDX file: read as written, or rejected with a reason."""

import gzip
import os
import socket
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from support.idx_files import encoded, header, written

from bench.data.idx import MAX_BYTES, read_idx
from bench.errors import DataError


@pytest.mark.parametrize("shape", [(7,), (2, 3), (2, 3, 4), (2, 3, 4, 3)])
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["raw", "gzip"])
def test_an_array_is_read_as_written(tmp_path, shape, pack):
    array = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    received = read_idx(written(tmp_path / "any-name", pack(encoded(array))))
    assert received.dtype == np.uint8
    np.testing.assert_array_equal(received, array)


def test_a_file_longer_than_a_chunk_is_read_completely(tmp_path):
    array = np.random.default_rng(2).integers(0, 256, (3, 1000, 1000), np.uint8)
    np.testing.assert_array_equal(read_idx(written(tmp_path / "x", encoded(array))), array)


GOOD = encoded(np.arange(12).reshape(3, 4))
BAD_CONTENTS = {
    "empty": (b"", "first bytes ''"),
    "one byte": (b"\0", "first bytes '00'"),
    "text": (b"<html>not found</html>", "first bytes '3c 68 74 6d'"),
    "signed bytes": (b"\0\0\x09" + GOOD[3:], "first bytes '00 00 09 02'"),
    "floats": (b"\0\0\x0d" + GOOD[3:], "first bytes '00 00 0d 02'"),
    "no dimension": (b"\0\0\x08\0\x05", "first bytes '00 00 08 00'"),
    "255 dimensions": (b"\0\0\x08\xff" + b"\1" * 2000, "first bytes '00 00 08 ff'"),
    "header cut off": (GOOD[:9], "cut off after 9 bytes"),
    "a dimension of 0": (header(0, 4), "a header of 0 x 4 values"),
    "0 times the largest": (header(0, 2**32 - 1, 2**32 - 1), "a header of 0 x 4294967295"),
    "the largest header": (header(*[2**32 - 1] * 4), "a header of 4294967295 x 4294967295"),
    "one above the limit": (header(MAX_BYTES // 4 + 1, 4), "at most 4,294,967,296 values"),
    "no values": (GOOD[:12], "only 0 values, expected the 12"),
    "one value too few": (GOOD[:-1], "only 11 values, expected the 12"),
    "one value too many": (GOOD + b"\0", "more than 12 values, expected the 12"),
}


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["raw", "gzip"])
@pytest.mark.parametrize("case", BAD_CONTENTS)
def test_invalid_contents_are_reported(tmp_path, case, pack):
    contents, message = BAD_CONTENTS[case]
    path = written(tmp_path / "bad-file", pack(contents))
    with pytest.raises(DataError) as caught:
        read_idx(path)
    assert str(caught.value).startswith(f"{path}: received ")
    assert message in str(caught.value)
    assert ", expected " in str(caught.value)
    assert "; " in str(caught.value)


PACKED = gzip.compress(GOOD)
BAD_GZIP = {
    "only the magic": PACKED[:2],
    "cut off in the header": PACKED[:7],
    "cut off in the data": PACKED[: len(PACKED) // 2],
    "cut off in the checksum": PACKED[:-3],
    "wrong checksum": PACKED[:-8] + b"\1\2\3\4" + PACKED[-4:],
    "unknown method": PACKED[:2] + b"\7" + PACKED[3:],
    "damaged data": PACKED[:12] + b"\xff\xff" + PACKED[14:],
    "rubbish after the end": PACKED + b"rubbish",
}


@pytest.mark.parametrize("case", BAD_GZIP)
def test_a_damaged_gzip_is_reported(tmp_path, case):
    path = written(tmp_path / "bad.gz", BAD_GZIP[case])
    with pytest.raises(DataError, match=r"bad\.gz: received contents that cannot be read"):
        read_idx(path)


def test_a_path_that_is_not_a_regular_file_is_rejected_without_reading(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    kinds = {"zero": "a character device", "folder": "a folder"}
    for name, kind in (kinds | {"pipe": "a named pipe", "link": "a named pipe"}).items():
        with pytest.raises(DataError, match=f"{name}: received {kind}, expected a regular file"):
            read_idx(tmp_path / name)


def test_a_socket_is_rejected(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        with pytest.raises(DataError, match="received a socket"):
            read_idx(Path("socket"))


def test_a_file_that_cannot_be_opened_is_reported(tmp_path):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "nowhere").symlink_to(tmp_path / "missing")
    for name in ("missing", "loop", "nowhere"):
        with pytest.raises(DataError, match=f"{name}: received a file that cannot be opened"):
            read_idx(tmp_path / name)


def test_a_link_to_a_file_is_followed(tmp_path):
    written(tmp_path / "target", GOOD)
    (tmp_path / "link").symlink_to("target")
    assert read_idx(tmp_path / "link").shape == (3, 4)


def peak_bytes(path: Path) -> int:
    tracemalloc.start()
    try:
        with pytest.raises(DataError):
            read_idx(path)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_decompressing_a_gzip_bomb_stops_early(tmp_path):
    bomb = gzip.compress(header(100) + bytes(100 * 2**20), compresslevel=1)
    assert len(bomb) < 2**20
    assert peak_bytes(written(tmp_path / "bomb", bomb)) < 4 * 2**20


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["raw", "gzip"])
def test_a_header_without_data_allocates_no_memory(tmp_path, pack):
    promise = pack(header(4, 2**30) + bytes(1000))
    assert peak_bytes(written(tmp_path / "promise", promise)) < 4 * 2**20
