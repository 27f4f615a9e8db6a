"""Checks that four files are one data set: their shapes agree and their labels are in range."""

from pathlib import Path

from bench.errors import DataError
from bench.spec.shapes import Shape
from bench.spec.weights import IntArray

_SAME_SET = "use four files of one data set"


def check_shapes(files: dict[str, Path], shapes: dict[str, Shape]) -> None:
    """Check dimensions, counts and image sizes.

    Args:
        files: by the array's name.
        shapes: by the array's name.

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


def count_classes(files: dict[str, Path], train_labels: IntArray, test_labels: IntArray) -> int:
    """Count the classes: one more than the largest training label. Some classes may be empty.

    Args:
        files: by the array's name, for messages.
        train_labels: shape (n,).
        test_labels: shape (n,).

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
