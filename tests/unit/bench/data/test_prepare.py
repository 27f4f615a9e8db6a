"""The cache of decoded arrays: damage, sharing, killed processes, a full or read-only disk."""

import os
import shutil
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from support.idx_files import STANDARD, encoded, small_arrays, write_set, written
from support.places import ROOT

from bench.cache import CACHE_VARIABLE
from bench.data.decoded import is_whole, open_decoded
from bench.data.prepare import prepare
from bench.data.sources import mnist
from bench.errors import DataError

pytestmark = pytest.mark.usefixtures("cache")


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
def test_a_damaged_cache_is_detected_and_rebuilt(tmp_path, cache, case):
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
    with pytest.raises(DataError, match=r"delete the folder to have it created again"):
        open_decoded(folder)


def test_an_intact_folder_is_reused(tmp_path):
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


def test_files_left_by_a_killed_process_are_removed(tmp_path, cache):
    source = write_set(tmp_path / "set")
    folder = prepare(source).folder
    folder.rename(folder.with_suffix(".partial"))
    assert prepare(source) == (folder, [])
    assert not folder.with_suffix(".partial").exists()


def test_mapped_arrays_stay_valid_when_their_folder_is_rebuilt(tmp_path):
    source = write_set(tmp_path / "set")
    folder = prepare(source).folder
    held = open_decoded(folder)
    (folder / "index.json").unlink()
    prepare(source)
    np.testing.assert_array_equal(held.train_images, small_arrays()["train_images"])


@pytest.mark.process
def test_concurrent_processes_decode_once(tmp_path):
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


@pytest.mark.process
def test_a_process_killed_while_decoding_does_not_affect_others(tmp_path):
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


@pytest.mark.process
def test_an_unwritable_cache_is_replaced_by_a_temporary_folder_with_a_note(tmp_path):
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


@pytest.mark.process
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
    assert answer.startswith(
        "DataError set: received neither a writable cache nor a temporary folder"
    )
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


@pytest.mark.process
def test_a_worker_needs_no_package_of_the_runner(tmp_path):
    code = """
import sys, bench.cache, bench.data.decoded
print({"platformdirs", "filelock", "bench.data.prepare", "pandas"} & set(sys.modules))
"""
    answer, error = in_new_process(code, tmp_path).communicate(timeout=60)
    assert (answer, error) == ("set()\n", "")
