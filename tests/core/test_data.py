"""The data of the suite: IDX files, the files of a data set, and the cache of decoded arrays."""

import gzip
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from bench.data.decoded import Dataset, is_whole, open_decoded
from bench.data.idx import MAX_BYTES, DataError, read_idx
from bench.data.prepare import CACHE_VARIABLE, cache_folder, prepare
from bench.data.sources import find_source, mnist

ROOT = Path(__file__).parent.parent.parent
ARRAYS = ("train_images", "train_labels", "test_images", "test_labels")
STANDARD = {
    "train_images": "train-images-idx3-ubyte",
    "train_labels": "train-labels-idx1-ubyte",
    "test_images": "t10k-images-idx3-ubyte",
    "test_labels": "t10k-labels-idx1-ubyte",
}


def header(*shape: int) -> bytes:
    return struct.pack(f">HBB{len(shape)}I", 0, 8, len(shape), *shape)


def encoded(array: np.ndarray) -> bytes:
    return header(*array.shape) + array.astype(np.uint8).tobytes()


def written(path: Path, contents: bytes) -> Path:
    path.write_bytes(contents)
    return path


def small_arrays(train: int = 6, test: int = 4) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    return {
        "train_images": random.integers(0, 256, (train, 3, 2), np.uint8),
        "train_labels": np.arange(train, dtype=np.uint8) % 3,
        "test_images": random.integers(0, 256, (test, 3, 2), np.uint8),
        "test_labels": np.arange(test, dtype=np.uint8) % 3,
    }


def write_set(folder: Path, changes: dict[str, np.ndarray] | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in (small_arrays() | (changes or {})).items():
        written(folder / STANDARD[name], encoded(array))
    return folder


def in_new_process(code: str, cache: Path, **options) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | {CACHE_VARIABLE: str(cache)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    """A cache of the test's own."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


# --- one IDX file ---------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(7,), (2, 3), (2, 3, 4), (2, 3, 4, 3)])
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["raw", "gzip"])
def test_an_array_is_read_as_it_was_written(tmp_path, shape, pack):
    array = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    received = read_idx(written(tmp_path / "any-name", pack(encoded(array))))
    assert received.dtype == np.uint8
    np.testing.assert_array_equal(received, array)


def test_a_file_longer_than_a_chunk_is_read_whole(tmp_path):
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
def test_bad_contents_are_named(tmp_path, case, pack):
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
def test_damaged_gzip_is_named(tmp_path, case):
    path = written(tmp_path / "bad.gz", BAD_GZIP[case])
    with pytest.raises(DataError, match=r"bad\.gz: received contents that cannot be read"):
        read_idx(path)


def test_what_is_no_regular_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    kinds = {"zero": "a character device", "folder": "a folder"}
    for name, kind in (kinds | {"pipe": "a named pipe", "link": "a named pipe"}).items():
        with pytest.raises(DataError, match=f"{name}: received {kind}, expected a regular file"):
            read_idx(tmp_path / name)


def test_a_socket_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        with pytest.raises(DataError, match="received a socket"):
            read_idx(Path("socket"))


def test_what_cannot_be_opened_is_named(tmp_path):
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


def test_a_gzip_bomb_stops_early(tmp_path):
    bomb = gzip.compress(header(100) + bytes(100 * 2**20), compresslevel=1)
    assert len(bomb) < 2**20
    assert peak_bytes(written(tmp_path / "bomb", bomb)) < 4 * 2**20


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["raw", "gzip"])
def test_a_header_alone_allocates_nothing(tmp_path, pack):
    promise = pack(header(4, 2**30) + bytes(1000))
    assert peak_bytes(written(tmp_path / "promise", promise)) < 4 * 2**20


# --- any bytes ------------------------------------------------------------------------------------

IDX_ARRAYS = arrays_of.arrays(
    np.uint8, arrays_of.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=4)
)
HEADERS = st.lists(st.integers(0, 2**32 - 1), max_size=6).map(lambda shape: header(*shape))


@st.composite
def idx_bytes(draw) -> bytes:
    """A valid file, a lying header or plain noise; then cut, lengthened, altered and packed."""
    start = draw(st.one_of(IDX_ARRAYS.map(encoded), HEADERS, st.binary(max_size=40)))
    data = bytearray(start + draw(st.one_of(st.just(b""), st.binary(max_size=8))))
    if draw(st.booleans()):
        data = bytearray(gzip.compress(data) + draw(st.one_of(st.just(b""), st.just(bytes(data)))))
    for _ in range(draw(st.integers(0, 2))):
        if data:
            data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data[: draw(st.one_of(st.just(len(data)), st.integers(0, len(data))))])


def parsed(data: bytes) -> np.ndarray | None:
    """The array that the bytes state by the format's definition, or None."""
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except Exception:
            return None
    if data[:3] != b"\0\0\x08" or len(data) < 4 or data[3] not in (1, 2, 3, 4):
        return None
    end = 4 + 4 * data[3]
    shape = [int.from_bytes(data[at : at + 4], "big") for at in range(4, end, 4)]
    values = list(data[end:])
    count = 1
    for size in shape:
        count *= size
    return np.array(values, np.uint8).reshape(shape) if values and count == len(values) else None


# Each example overwrites what the one before left in `tmp_path`, so that all may share it.
SHARED_FIXTURES = settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@SHARED_FIXTURES
@given(data=idx_bytes())
@example(data=GOOD)
@example(data=gzip.compress(GOOD))
def test_any_bytes_give_the_right_array_or_a_data_error(tmp_path, data):
    path = written(tmp_path / "any", data)
    expected = parsed(data)
    if expected is None:
        with pytest.raises(DataError):
            read_idx(path)
    else:
        np.testing.assert_array_equal(read_idx(path), expected)


def fits(arrays: dict[str, np.ndarray]) -> bool:
    images, labels, test_images, test_labels = (arrays[name] for name in ARRAYS)
    return (
        images.ndim in (3, 4)
        and images.shape[1:] == test_images.shape[1:]
        and labels.shape == images.shape[:1]
        and test_labels.shape == test_images.shape[:1]
        and max(test_labels.tolist()) <= max(labels.tolist())
    )


IMAGE_SHAPES = st.tuples(st.integers(1, 2), st.integers(1, 2), st.integers(1, 2))
LABELS = arrays_of.arrays(np.uint8, st.integers(1, 2), elements=st.integers(0, 3))
IMAGES = arrays_of.arrays(np.uint8, st.one_of(IMAGE_SHAPES, st.just((1, 2, 2, 3)), st.just((2, 2))))
ANY_SET = st.fixed_dictionaries(
    {name: IMAGES if "images" in name else st.one_of(LABELS, LABELS, IMAGES) for name in ARRAYS}
)


@settings(SHARED_FIXTURES, max_examples=150)
@given(arrays=ANY_SET)
@example(arrays=small_arrays())
def test_any_four_arrays_make_a_data_set_or_a_data_error(tmp_path, cache, arrays):
    shutil.rmtree(cache, ignore_errors=True)
    folder = write_set(tmp_path / "set", arrays)
    if fits(arrays):
        data = open_decoded(prepare(folder).folder)
        assert all(np.array_equal(getattr(data, name), arrays[name]) for name in ARRAYS)
    else:
        with pytest.raises(DataError):
            prepare(folder)


# --- the files of a data set ----------------------------------------------------------------------


def test_a_folder_becomes_a_data_set(tmp_path):
    arrays = small_arrays()
    prepared = prepare(write_set(tmp_path / "letters"))
    data = open_decoded(prepared.folder)
    assert (data.name, data.classes, data.input_shape) == ("letters", 3, (3, 2, 1))
    assert prepared.notes == []
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(data, name), arrays[name])


def test_arrays_are_mapped_read_only_and_plain(tmp_path):
    data = open_decoded(str(prepare(write_set(tmp_path / "set")).folder))
    for name in ARRAYS:
        array = getattr(data, name)
        assert type(array) is np.ndarray
        assert isinstance(array.base, np.memmap)
        assert not array.flags.writeable


def test_npy_files_are_npy_files(tmp_path):
    folder = prepare(write_set(tmp_path / "set")).folder
    for name, array in small_arrays().items():
        np.testing.assert_array_equal(np.load(folder / f"{name}.npy"), array)


def test_channels_may_come_last(tmp_path):
    images = np.zeros((6, 3, 2, 3)), np.zeros((4, 3, 2, 3))
    folder = write_set(tmp_path / "rgb", dict(zip(ARRAYS[::2], images, strict=True)))
    assert open_decoded(prepare(folder).folder).input_shape == (3, 2, 3)


def test_labels_may_start_at_1(tmp_path):
    labels = {"train_labels": np.arange(6) + 1, "test_labels": np.arange(4) + 1}
    assert open_decoded(prepare(write_set(tmp_path / "set", labels)).folder).classes == 7


NAMES = {
    "raw": "{}",
    "gzip": "{}.gz",
    "emnist": "emnist-letters-{}",
    "emnist gzip": "emnist-letters-{}.gz",
}


@pytest.mark.parametrize("style", NAMES)
@pytest.mark.parametrize("word", ["t10k", "test"])
def test_files_are_found_by_their_names(tmp_path, style, word):
    for standard in STANDARD.values():
        (tmp_path / NAMES[style].format(standard.replace("t10k", word))).touch()
    for other in ("emnist-letters-mapping.txt", "latest-train-images.png", "README.md"):
        (tmp_path / other).touch()
    (tmp_path / "raw-train-images-idx3-ubyte").mkdir()
    found = find_source(tmp_path).files
    assert {name: path.name for name, path in found.items()} == {
        name: NAMES[style].format(standard.replace("t10k", word))
        for name, standard in STANDARD.items()
    }


def test_of_a_file_and_its_gzip_the_file_is_taken(tmp_path):
    write_set(tmp_path)
    written(tmp_path / "train-images-idx3-ubyte.gz", b"")
    assert find_source(tmp_path).files["train_images"].suffix == ""


def test_two_candidates_are_an_error_that_names_both(tmp_path):
    write_set(tmp_path)
    written(tmp_path / "emnist-digits-train-labels-idx1-ubyte.gz", b"")
    pattern = "several files of train labels .emnist-digits-train-labels-idx1-ubyte.gz, train-lab"
    with pytest.raises(DataError, match=pattern):
        find_source(tmp_path)


@pytest.mark.parametrize("name", ARRAYS)
def test_a_missing_file_is_named(tmp_path, name):
    (write_set(tmp_path / "set") / STANDARD[name]).unlink()
    with pytest.raises(DataError, match=f"no file of {name.replace('_', ' ')}.*{STANDARD[name]}"):
        prepare(tmp_path / "set")


def test_a_long_folder_is_not_listed_whole(tmp_path):
    for number in range(1000):
        (tmp_path / f"picture-{number:04}.png").touch()
    with pytest.raises(DataError) as caught:
        prepare(tmp_path)
    assert "picture-0007.png, ..." in str(caught.value)
    assert len(str(caught.value)) < 800


@pytest.mark.parametrize("name", ["missing", "a file", "nul\0"])
def test_a_folder_that_is_none_is_named(tmp_path, name):
    written(tmp_path / "a file", GOOD)
    with pytest.raises(DataError, match="received a folder that cannot be read"):
        prepare(tmp_path / name)


def test_a_file_that_cannot_be_looked_at_is_named(tmp_path):
    path = write_set(tmp_path / "set") / STANDARD["test_labels"]
    path.unlink()
    path.symlink_to(path)
    with pytest.raises(DataError, match="t10k-labels-idx1-ubyte: received a file that cannot be"):
        prepare(tmp_path / "set")


MISMATCHES = {
    "train_images": (np.zeros((6, 6)), r"2 dimensions \(6 x 6\), expected 3 dimensions"),
    "train_labels": (np.zeros((6, 2)), r"2 dimensions \(6 x 2\), expected 1 dimension"),
    "test_images": (np.zeros((4, 2, 2)), "images of 2 x 2, expected 3 x 2, as in train-images"),
    "test_labels": (np.zeros(5), "5 labels, expected 4, as many as the images in t10k-images"),
}


@pytest.mark.parametrize("name", MISMATCHES)
def test_files_that_do_not_fit_are_named(tmp_path, cache, name):
    array, message = MISMATCHES[name]
    folder = write_set(tmp_path / "set", {name: array})
    with pytest.raises(DataError, match=f"{STANDARD[name]}: received {message}"):
        prepare(folder)
    assert [path.suffix for path in (cache / "datasets").iterdir()] == [".lock"]


def test_a_test_label_out_of_range_is_named(tmp_path):
    folder = write_set(tmp_path / "set", {"test_labels": np.array([0, 1, 2, 9])})
    pattern = "t10k-labels-idx1-ubyte: received label 9, expected 0 to 2"
    with pytest.raises(DataError, match=pattern):
        prepare(folder)


def test_a_truncated_file_is_named_by_prepare(tmp_path):
    path = write_set(tmp_path / "set") / STANDARD["test_images"]
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(DataError, match="t10k-images-idx3-ubyte: received only 19 values"):
        prepare(tmp_path / "set")


# --- the MNIST that is shipped --------------------------------------------------------------------


@pytest.fixture(scope="module")
def mnist_folder(tmp_path_factory) -> Path:
    return prepare(None, tmp_path_factory.mktemp("mnist")).folder


@pytest.fixture(scope="module")
def real_mnist(mnist_folder) -> Dataset:
    return open_decoded(mnist_folder)


def test_mnist_has_its_known_shapes_and_labels(real_mnist):
    assert (real_mnist.name, real_mnist.classes) == ("mnist", 10)
    assert real_mnist.input_shape == (28, 28, 1)
    assert real_mnist.train_images.shape == (60_000, 28, 28)
    assert real_mnist.test_images.shape == (10_000, 28, 28)
    assert real_mnist.train_labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert real_mnist.test_labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert np.bincount(real_mnist.test_labels).tolist() == [
        *(980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009)
    ]


def test_mnist_has_its_known_mean(real_mnist):
    assert real_mnist.train_images.mean() / 255 == pytest.approx(0.1306605, abs=1e-6)


def test_the_files_shipped_have_the_known_digests(mnist_folder):
    index = json.loads((mnist_folder / "index.json").read_bytes())["index"]
    assert {name: file["sha256"][:16] for name, file in index["arrays"].items()} == {
        "train_images": "ba891046e6505d7a",
        "train_labels": "65a50cbbf4e906d7",
        "test_images": "0fa7898d509279e4",
        "test_labels": "ff7bcfd416de3373",
    }


def test_the_licence_lies_beside_the_files():
    folder = mnist().files["train_images"].parent
    licence = (folder / "LICENSE.md").read_text()
    for word in ("LeCun", "Cortes", "Burges", "CC BY-SA 3.0", *STANDARD.values()):
        assert word in licence


def test_other_contents_in_the_package_are_an_error(tmp_path):
    write_set(tmp_path / "set")
    copied = find_source(tmp_path / "set")._replace(sha256=mnist().sha256)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bench.data.prepare.mnist", lambda: copied)
        with pytest.raises(DataError, match=r"train-images.*: received SHA-256 .* expected ba89"):
            prepare(None)


# --- the cache ------------------------------------------------------------------------------------


def cut(path: Path, share: float = 1) -> None:
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share) - 1])


def lengthen(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


def flip_a_bit(path: Path, at: int) -> None:
    contents = bytearray(path.read_bytes())
    contents[at] ^= 1
    path.write_bytes(contents)


def put_a_folder_there(path: Path) -> None:
    path.unlink()
    path.mkdir()


def add_classes(path: Path) -> None:
    text = path.read_text()
    assert '"classes": 3' in text
    path.write_text(text.replace('"classes": 3', '"classes": 37'))


DAMAGES = {
    "truncated": lambda folder: cut(folder / "train_images.npy"),
    "lengthened": lambda folder: lengthen(folder / "test_labels.npy"),
    "a bit of a pixel": lambda folder: flip_a_bit(folder / "test_images.npy", -1),
    "a bit of the npy header": lambda folder: flip_a_bit(folder / "train_labels.npy", 70),
    "an array missing": lambda folder: (folder / "test_images.npy").unlink(),
    "an array a folder": lambda folder: put_a_folder_there(folder / "test_images.npy"),
    "torn index": lambda folder: cut(folder / "index.json", 0.5),
    "empty index": lambda folder: (folder / "index.json").write_bytes(b""),
    "index of another form": lambda folder: (folder / "index.json").write_text("[1]"),
    "nested index": lambda folder: (folder / "index.json").write_text("[" * 100_000),
    "another class count": lambda folder: add_classes(folder / "index.json"),
    "index missing": lambda folder: (folder / "index.json").unlink(),
    "all missing": shutil.rmtree,
}


@pytest.mark.parametrize("case", DAMAGES)
def test_a_damaged_cache_is_noticed_and_made_anew(tmp_path, cache, case):
    source = write_set(tmp_path / "set")
    folder = prepare(source).folder
    DAMAGES[case](folder)
    assert not is_whole(folder)
    assert prepare(source) == (folder, [])
    assert is_whole(folder)
    np.testing.assert_array_equal(open_decoded(folder).test_images, small_arrays()["test_images"])
    assert {path.suffix for path in (cache / "datasets").iterdir()} == {"", ".lock"}


@pytest.mark.parametrize("case", ["truncated", "an array missing", "torn index", "all missing"])
def test_opening_a_damaged_folder_is_a_data_error(tmp_path, case):
    folder = prepare(write_set(tmp_path / "set")).folder
    DAMAGES[case](folder)
    with pytest.raises(DataError, match=r"delete the folder, and it is made anew"):
        open_decoded(folder)


def test_a_whole_folder_is_used_again(tmp_path):
    source = write_set(tmp_path / "set")
    before = (prepare(source).folder / "train_images.npy").stat().st_ino
    assert (prepare(source).folder / "train_images.npy").stat().st_ino == before


def test_changed_files_are_decoded_again(tmp_path):
    source = write_set(tmp_path / "set")
    first = prepare(source).folder
    written(source / STANDARD["test_labels"], encoded(np.array([2, 2, 2, 2])))
    os.utime(source / STANDARD["test_labels"], ns=(0, 0))
    second = prepare(source).folder
    assert second != first
    assert open_decoded(second).test_labels.tolist() == [2, 2, 2, 2]


def test_what_a_killed_process_left_is_cleared(tmp_path, cache):
    source = write_set(tmp_path / "set")
    folder = prepare(source).folder
    folder.rename(folder.with_suffix(".partial"))
    assert prepare(source) == (folder, [])
    assert not folder.with_suffix(".partial").exists()


def test_mapped_arrays_outlive_a_folder_made_anew(tmp_path):
    source = write_set(tmp_path / "set")
    folder = prepare(source).folder
    held = open_decoded(folder)
    (folder / "index.json").unlink()
    prepare(source)
    np.testing.assert_array_equal(held.train_images, small_arrays()["train_images"])


def test_processes_at_once_decode_once(tmp_path):
    code = """
from bench.data.prepare import prepare
folder, notes = prepare(None)
print(folder, folder.stat().st_ino, notes)
"""
    processes = [in_new_process(code, tmp_path / "shared") for _ in range(4)]
    answers = [process.communicate(timeout=120) for process in processes]
    folder = tmp_path / "shared" / "datasets" / mnist().key()
    assert answers == [(f"{folder} {folder.stat().st_ino} []\n", "")] * 4
    assert is_whole(folder)
    assert {path.suffix for path in folder.parent.iterdir()} == {"", ".lock"}


def test_a_process_killed_while_decoding_harms_nobody(tmp_path):
    source = write_set(tmp_path / "set")
    code = f"""
import os, signal
from pathlib import Path
import bench.data.prepare as prepare
prepare.write_index = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
prepare.prepare(Path({str(source)!r}))
"""
    process = in_new_process(code, tmp_path / "cache")
    process.communicate(timeout=60)
    assert process.returncode == -9
    assert [path.suffix for path in sorted((tmp_path / "cache/datasets").iterdir())] == [
        ".lock",
        ".partial",
    ]
    assert is_whole(prepare(source).folder)


def test_a_cache_that_cannot_be_written_gives_a_note_and_a_temporary_folder(tmp_path):
    written(tmp_path / "in the way", b"")
    code = f"""
from pathlib import Path
from bench.data.decoded import open_decoded
from bench.data.prepare import prepare
prepared = prepare(Path({str(write_set(tmp_path / "set"))!r}))
print(prepared.folder, open_decoded(prepared.folder).classes, *prepared.notes, sep="\\n")
"""
    process = in_new_process(code, tmp_path / "in the way")
    answer, error = process.communicate(timeout=60)
    folder, classes, note = answer.splitlines()
    assert (error, classes) == ("", "3")
    assert "in the way cannot be written (Not a directory)" in note
    assert CACHE_VARIABLE in note
    assert not Path(folder).exists()  # it went with the process


def test_a_full_disk_is_a_data_error(tmp_path):
    code = f"""
import resource
from pathlib import Path
from bench.data.prepare import prepare
source = Path({str(write_set(tmp_path / "set"))!r})
resource.setrlimit(resource.RLIMIT_FSIZE, (50, 50))  # no file may grow beyond 50 bytes
try:
    prepare(source)
except ValueError as error:
    print(type(error).__name__, error)
"""
    process = in_new_process(code, tmp_path / "cache")
    answer, error = process.communicate(timeout=60)
    assert error == ""
    assert answer.startswith("DataError set: received neither a cache nor a temporary folder")
    assert {path.suffix for path in (tmp_path / "cache/datasets").iterdir()} == {".lock"}


def test_large_images_are_decoded_in_little_memory(tmp_path):
    images = {"train_images": np.zeros((6, 1000, 2000)), "test_images": np.zeros((4, 1000, 2000))}
    folder = write_set(tmp_path / "set", images)
    tracemalloc.start()
    try:
        prepare(folder)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 6 * 2**20  # the images have 12 MB and 8 MB


def test_the_cache_is_the_users_unless_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(CACHE_VARIABLE, "here")
    assert cache_folder() == tmp_path / "here"
    monkeypatch.setenv(CACHE_VARIABLE, "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    if sys.platform == "linux":
        assert cache_folder() == tmp_path / "xdg" / "evenbench"


def test_a_worker_needs_no_package_of_the_runner(tmp_path):
    code = """
import sys, bench.data.decoded
print({"platformdirs", "fcntl", "bench.data.prepare", "pandas"} & set(sys.modules))
"""
    answer, error = in_new_process(code, tmp_path).communicate(timeout=60)
    assert (answer, error) == ("set()\n", "")
