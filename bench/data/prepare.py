"""Checks a data set and decodes it once into the cache, from where workers map it into memory.

Several processes may prepare the same data set at once: one decodes it, the others wait. A folder
of decoded arrays appears in the cache atomically, is checked byte by byte each time it is used, and
is decoded again if it is damaged.
"""

import atexit
import shutil
import tempfile
from pathlib import Path
from typing import NamedTuple

from bench.cache import CACHE_VARIABLE, LOCK_SUFFIX, cache_folder, lock
from bench.data.decoded import Index, decode, is_whole, map_array, write_index
from bench.data.sources import Source, find_source, mnist
from bench.errors import DataError
from bench.spec.shapes import Shape
from bench.spec.weights import IntArray

_SAME_SET = "use four files of one data set"


class PreparedData(NamedTuple):
    """A decoded data set.

    Attributes:
        folder: for `bench.data.decoded.open_decoded`.
        notes: messages for the user; empty if the cache works.
    """

    folder: Path
    notes: list[str]


def prepare(data_dir: Path | None, cache: Path | None = None) -> PreparedData:
    """Return a decoded data set, and decode it if it is not in the cache.

    Args:
        data_dir: the folder of the four IDX files; None for the MNIST in this package.
        cache: the cache folder; None for `cache_folder()`. If it cannot be written, the data set
            is decoded into a temporary folder, which is removed when this process ends.

    Raises:
        DataError: the files are missing, damaged or do not fit together, or there is not enough
            space to decode them.
    """
    source = mnist() if data_dir is None else find_source(data_dir)
    cache = cache or cache_folder()
    folder = cache / "datasets" / source.key()
    if is_whole(folder):
        return PreparedData(folder, [])
    try:
        _fill(source, folder)
    except OSError as error:
        note = (
            f"the cache {cache} cannot be written ({error.strerror}), so {source.name} was decoded "
            f"for this run only; set {CACHE_VARIABLE} to a writable folder"
        )
        return PreparedData(_decode_temporarily(source), [note])
    return PreparedData(folder, [])


def _fill(source: Source, folder: Path) -> None:
    """Decode into the folder unless another process has done so."""
    with lock(folder.with_suffix(LOCK_SUFFIX)):
        if is_whole(folder):
            return
        partial = folder.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)  # left by a process that was killed
        try:
            partial.mkdir()
            _decode_all(source, partial)
            if folder.exists():
                shutil.rmtree(folder)
            partial.rename(folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def _decode_temporarily(source: Source) -> Path:
    try:
        folder = Path(tempfile.mkdtemp(prefix="evenbench-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        _decode_all(source, folder)
    except OSError as error:
        received = f"neither a writable cache nor a temporary folder ({error.strerror})"
        mend = f"free some space, or set {CACHE_VARIABLE} to a folder on another disk"
        raise DataError(source.name, received, "a writable folder", mend) from error
    return folder


def _decode_all(source: Source, folder: Path) -> None:
    arrays = {name: decode(path, folder / f"{name}.npy") for name, path in source.files.items()}
    for name, expected in source.sha256.items():
        if arrays[name].sha256 != expected:
            received = f"SHA-256 {arrays[name].sha256}"
            raise DataError(source.files[name], received, expected, "install evenbench again")
    _check_shapes(source.files, {name: array.shape for name, array in arrays.items()})
    train_labels, test_labels = (
        map_array(folder, name, arrays[name]) for name in ("train_labels", "test_labels")
    )
    classes = _count_classes(source.files, train_labels, test_labels)
    write_index(folder, Index(source.name, classes, arrays))


def _check_shapes(files: dict[str, Path], shapes: dict[str, Shape]) -> None:
    """Check dimensions, counts and image sizes.

    Both arguments are by the array's name.

    Raises:
        DataError: a file does not fit; the message names it.
    """
    for split in ("train", "test"):
        images, labels = f"{split}_images", f"{split}_labels"
        _check_images(files[images], shapes[images])
        _check_labels(files[labels], shapes[labels])
        received, expected = shapes[labels][0], shapes[images][0]
        if received != expected:
            wanted = f"{expected:,}, as many as the images in {files[images].name}"
            raise DataError(files[labels], f"{received:,} labels", wanted, _SAME_SET)
    received_size, expected_size = shapes["test_images"][1:], shapes["train_images"][1:]
    if received_size != expected_size:
        wanted = f"{_by(expected_size)}, as in {files['train_images'].name}"
        received_text = f"images of {_by(received_size)}"
        raise DataError(files["test_images"], received_text, wanted, _SAME_SET)


def _count_classes(files: dict[str, Path], train_labels: IntArray, test_labels: IntArray) -> int:
    """Count the classes: one more than the largest training label. Some classes may be empty.

    Raises:
        DataError: a test label is larger than every training label.
    """
    classes = int(train_labels.max()) + 1
    largest = int(test_labels.max())
    if largest >= classes:
        expected = f"0 to {classes - 1}, the labels of {files['train_labels'].name}"
        raise DataError(files["test_labels"], f"label {largest}", expected, _SAME_SET)
    return classes


def _check_images(path: Path, shape: Shape) -> None:
    if len(shape) not in (3, 4):
        expected = "3 dimensions (images, height, width), or 4 with the channels last"
        mend = "use the file of images here"
        raise DataError(path, f"{len(shape)} dimensions ({_by(shape)})", expected, mend)


def _check_labels(path: Path, shape: Shape) -> None:
    if len(shape) != 1:
        received = f"{len(shape)} dimensions ({_by(shape)})"
        mend = "use the file of labels here"
        raise DataError(path, received, "1 dimension, one label per image", mend)


def _by(shape: Shape) -> str:
    return " x ".join(map(str, shape))
