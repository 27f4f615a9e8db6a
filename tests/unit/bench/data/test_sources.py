"""The four files of a data set: how they are found and validated; the MNIST that is shipped."""

import json
from pathlib import Path

import numpy as np
import pytest
from support.idx_files import ARRAYS, STANDARD, small_arrays, write_set, written

from bench.data.decoded import Dataset, open_decoded
from bench.data.prepare import prepare
from bench.data.sources import find_source, mnist
from bench.errors import DataError

pytestmark = pytest.mark.usefixtures("cache")


def test_a_folder_becomes_a_data_set(tmp_path):
    arrays = small_arrays()
    prepared = prepare(write_set(tmp_path / "letters"))
    data = open_decoded(prepared.folder)
    assert (data.name, data.classes, data.input_shape) == ("letters", 3, (3, 2, 1))
    assert prepared.notes == []
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(data, name), arrays[name])


def test_arrays_are_memory_mapped_and_read_only(tmp_path):
    data = open_decoded(str(prepare(write_set(tmp_path / "set")).folder))
    for name in ARRAYS:
        array = getattr(data, name)
        assert type(array) is np.ndarray
        assert isinstance(array.base, np.memmap)
        assert not array.flags.writeable


def test_decoded_files_are_valid_npy_files(tmp_path):
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


def test_a_plain_file_is_preferred_to_its_gzip(tmp_path):
    write_set(tmp_path)
    written(tmp_path / "train-images-idx3-ubyte.gz", b"")
    assert find_source(tmp_path).files["train_images"].suffix == ""


def test_an_ambiguous_file_is_an_error_that_names_both_candidates(tmp_path):
    write_set(tmp_path)
    written(tmp_path / "emnist-digits-train-labels-idx1-ubyte.gz", b"")
    pattern = "several files of train labels .emnist-digits-train-labels-idx1-ubyte.gz, train-lab"
    with pytest.raises(DataError, match=pattern):
        find_source(tmp_path)


@pytest.mark.parametrize("name", ARRAYS)
def test_a_missing_file_is_reported(tmp_path, name):
    (write_set(tmp_path / "set") / STANDARD[name]).unlink()
    with pytest.raises(DataError, match=f"no file of {name.replace('_', ' ')}.*{STANDARD[name]}"):
        prepare(tmp_path / "set")


def test_an_error_lists_only_the_first_files_of_a_large_folder(tmp_path):
    for number in range(1000):
        (tmp_path / f"picture-{number:04}.png").touch()
    with pytest.raises(DataError) as caught:
        prepare(tmp_path)
    assert "picture-0007.png, ..." in str(caught.value)
    assert len(str(caught.value)) < 800


@pytest.mark.parametrize("name", ["missing", "a file", "nul\0"])
def test_a_path_that_is_not_a_folder_is_reported(tmp_path, name):
    written(tmp_path / "a file", b"")
    with pytest.raises(DataError, match="received a folder that cannot be read"):
        prepare(tmp_path / name)


def test_an_inaccessible_file_is_reported(tmp_path):
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
def test_inconsistent_files_are_reported(tmp_path, cache, name):
    array, message = MISMATCHES[name]
    folder = write_set(tmp_path / "set", {name: array})
    with pytest.raises(DataError, match=f"{STANDARD[name]}: received {message}"):
        prepare(folder)
    assert [path.suffix for path in (cache / "datasets").iterdir()] == [".lock"]


def test_a_test_label_out_of_range_is_reported(tmp_path):
    folder = write_set(tmp_path / "set", {"test_labels": np.array([0, 1, 2, 9])})
    pattern = "t10k-labels-idx1-ubyte: received label 9, expected 0 to 2"
    with pytest.raises(DataError, match=pattern):
        prepare(folder)


def test_a_truncated_file_is_reported_by_prepare(tmp_path):
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


def test_the_shipped_files_have_the_known_digests(mnist_folder):
    index = json.loads((mnist_folder / "index.json").read_bytes())["index"]
    assert {name: file["sha256"][:16] for name, file in index["arrays"].items()} == {
        "train_images": "ba891046e6505d7a",
        "train_labels": "65a50cbbf4e906d7",
        "test_images": "0fa7898d509279e4",
        "test_labels": "ff7bcfd416de3373",
    }


def test_the_licence_is_in_the_folder_of_the_files():
    folder = mnist().files["train_images"].parent
    licence = (folder / "LICENSE.md").read_text()
    for word in ("LeCun", "Cortes", "Burges", "CC BY-SA 3.0", *STANDARD.values()):
        assert word in licence


def test_modified_files_in_the_package_are_an_error(tmp_path):
    write_set(tmp_path / "set")
    copied = find_source(tmp_path / "set")._replace(sha256=mnist().sha256)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bench.data.prepare.mnist", lambda: copied)
        with pytest.raises(DataError, match=r"train-images.*: received SHA-256 .* expected ba89"):
            prepare(None)
