"""What trained models answered, kept beside a run's records for its report.

`explanations.jsonl` gets a line for the first trial of each contender. `pictures.json` is written
at the end: the test labels, and the images that a report may draw, so that it needs no data set.
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
LARGEST_ARRAY = 2**26  # bytes, unpacked: what a file says is not to fill the memory
MOST_PICTURES = 24  # of each model: what contenders disagree on


class Explanation(msgspec.Struct, frozen=True):
    """What a trained model answers: the trial's name, the model's, and what the worker told."""

    trial: str
    model: str
    told: Explained

    @property
    def classes(self) -> IntArray:
        """(n,) uint8, the predicted class of each test image."""
        return unpacked(self.told.predicted)


class Picture(msgspec.Struct, frozen=True):
    """A test image: its position, its label, and (height, width, channels) bytes in a row."""

    position: int
    label: int
    pixels: bytes


class Pictures(msgspec.Struct, frozen=True):
    """The test images that a report may draw.

    Attributes:
        shape: height, width and channels of an image.
        labels: of every test image, one byte each, packed by zlib.
        pictures: in order of position.
    """

    shape: tuple[int, int, int]
    labels: bytes
    pictures: tuple[Picture, ...]


def unpacked(packed: bytes) -> IntArray:
    """The bytes (n,) uint8.

    Raises:
        ValueError: they are not packed by zlib, or unpack to more than can be.
    """
    try:
        unpacker = zlib.decompressobj()
        text = unpacker.decompress(packed, LARGEST_ARRAY)
    except zlib.error as error:
        raise ValueError(f"received bytes that zlib does not unpack: {error}") from error
    if not unpacker.eof:
        raise ValueError(f"received bytes that unpack to more than {LARGEST_ARRAY:,}, or torn ones")
    return np.frombuffer(text, np.uint8)


def fits(explanation: Explanation, images: int) -> bool:
    """Whether there is one answer for each of so many test images: a file may say anything."""
    try:
        return len(explanation.classes) == images
    except ValueError:
        return False


def pictures_of(explanations: Sequence[Explanation], data: Path) -> Pictures:
    """The images of the examples, and of what the contenders of a model disagree on most.

    Args:
        explanations: of a run.
        data: the folder of the decoded data set.
    """
    found = open_decoded(str(data))
    images = len(found.test_labels)
    usable = [each for each in explanations if fits(each, images)]
    told = {position for each in usable for position in each.told.examples}
    wanted = {position for position in told if 0 <= position < images}
    by_model: defaultdict[str, list[IntArray]] = defaultdict(list)
    for each in usable:
        by_model[each.model].append(each.classes)
    for answers in by_model.values():
        wanted.update(disputed(answers)[:MOST_PICTURES])
    return Pictures(
        shape=found.input_shape,
        labels=zlib.compress(np.asarray(found.test_labels, np.uint8).tobytes()),
        pictures=tuple(_pictures(sorted(wanted), found)),
    )


def disputed(answers: Sequence[IntArray]) -> list[int]:
    """Positions of the images that not all answer alike, those with most dissent first.

    Dissent is the number of answers other than the most frequent one.
    """
    if not answers:
        return []
    table = np.stack(answers)
    differing = np.flatnonzero((table != table[0]).any(axis=0))
    dissent = {place: _dissent(table[:, place]) for place in differing.tolist()}
    return sorted(dissent, key=lambda place: (-dissent[place], place))


def _dissent(answers: IntArray) -> int:
    return len(answers) - Counter(answers.tolist()).most_common(1)[0][1]


def _pictures(positions: Iterable[int], data: Dataset) -> Iterator[Picture]:
    for position in positions:
        pixels = np.asarray(data.test_images[position], np.uint8).tobytes()
        yield Picture(position, int(data.test_labels[position]), pixels)
