"""Predictions of trained models and the test images that a report shows with them.

`explanations.jsonl` contains one line per contender, from its first trial. `pictures.json` is
written at the end of a run and contains the test labels and some test images, so that a report can
be written without the data set.
"""

import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np

from bench.data.decoded import Dataset, open_decoded
from bench.spec.weights import IntArray
from bench.worker.protocol import Explained

EXPLANATIONS = "explanations.jsonl"
PICTURES = "pictures.json"
LARGEST_ARRAY = 2**26  # bytes after decompression, so that a malicious file cannot fill the memory
MOST_PICTURES = 24  # per model, of the images whose predictions differ between contenders


class Explanation(msgspec.Struct, frozen=True):
    """The predictions of a trained model.

    Attributes:
        trial: name of the trial.
        model: name of the model.
        told: the worker's report.
    """

    trial: str
    model: str
    told: Explained

    @property
    def classes(self) -> IntArray:
        """The predicted class of each test image: (n,) uint8.

        Raises:
            ValueError: the file contains invalid data.
        """
        return decompress(self.told.predicted)


class Picture(msgspec.Struct, frozen=True):
    """A test image.

    Attributes:
        position: its position in the test set.
        label: its class.
        pixels: (height, width, channels) bytes, row by row.
    """

    position: int
    label: int
    pixels: bytes


class Pictures(msgspec.Struct, frozen=True):
    """The test images that a report may draw.

    Attributes:
        shape: height, width and channels of an image.
        labels: class of every test image, one byte each, compressed with zlib.
        pictures: the images, in order of position.
    """

    shape: tuple[int, int, int]
    labels: bytes
    pictures: tuple[Picture, ...]


def decompress(compressed: bytes) -> IntArray:
    """Decompress an array of bytes.

    Returns:
        (n,) uint8.

    Raises:
        ValueError: the data is not compressed with zlib, is incomplete, or is longer than
            `LARGEST_ARRAY` bytes after decompression.
    """
    decompressor = zlib.decompressobj()
    try:
        array = decompressor.decompress(compressed, LARGEST_ARRAY)
    except zlib.error as error:
        raise ValueError(f"the data is not compressed with zlib: {error}") from error
    if not decompressor.eof:
        raise ValueError(f"the compressed data is incomplete or exceeds {LARGEST_ARRAY:,} bytes")
    return np.frombuffer(array, np.uint8)


def fits(explanation: Explanation, images: int) -> bool:
    """Return whether the explanation has exactly one prediction per test image.

    It may have been read from a file that somebody else wrote.

    Args:
        explanation: predictions of a trained model.
        images: number of test images.
    """
    try:
        return len(explanation.classes) == images
    except ValueError:
        return False


def pictures_of(explanations: Sequence[Explanation], data: Path) -> Pictures:
    """Select the test images that a report may draw.

    These are the examples of every explanation and, for each model, the images on which its
    contenders disagree most.

    Args:
        explanations: predictions of the run's trained models.
        data: folder of the decoded data set.
    """
    dataset = open_decoded(str(data))
    images = len(dataset.test_labels)
    valid = [each for each in explanations if fits(each, images)]
    examples = {position for each in valid for position in each.told.examples}
    positions = {position for position in examples if 0 <= position < images}
    by_model: defaultdict[str, list[IntArray]] = defaultdict(list)
    for each in valid:
        by_model[each.model].append(each.classes)
    for predictions in by_model.values():
        positions.update(disputed(predictions)[:MOST_PICTURES])
    return Pictures(
        shape=dataset.input_shape,
        labels=zlib.compress(np.asarray(dataset.test_labels, np.uint8).tobytes()),
        pictures=tuple(_pictures(sorted(positions), dataset)),
    )


def disputed(predictions: Sequence[IntArray]) -> list[int]:
    """Return the positions of the images whose predicted class differs between models.

    Args:
        predictions: (n,) predicted class of each image, per model.

    Returns:
        Positions sorted by the number of models that deviate from the most frequent class, largest
        first.
    """
    if not predictions:
        return []
    table = np.stack(predictions)
    differing = np.flatnonzero((table != table[0]).any(axis=0))
    deviating = {position: _minority(table[:, position]) for position in differing.tolist()}
    return sorted(deviating, key=lambda position: (-deviating[position], position))


def _minority(classes: IntArray) -> int:
    """Count the values that differ from the most frequent one."""
    return len(classes) - Counter(classes.tolist()).most_common(1)[0][1]


def _pictures(positions: Iterable[int], data: Dataset) -> Iterator[Picture]:
    """Yield the test image at each position."""
    for position in positions:
        pixels = np.asarray(data.test_images[position], np.uint8).tobytes()
        yield Picture(position, int(data.test_labels[position]), pixels)
