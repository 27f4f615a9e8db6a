"""Predictions of a ranking's contenders for the test images, joined from the runs' files."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from bench.records.predictions import Explanation, Picture, Pictures, decompress, disputed, fits
from bench.spec.weights import IntArray
from bench.worker.protocol import Explained
from reports.analysis.contenders import Contender
from reports.analysis.rankings import Ranking
from reports.analysis.runs import Source


class Answer(NamedTuple):
    """A contender's predictions in its first trial.

    Attributes:
        label: the contender's name.
        classes: (n,) the predicted class of each test image.
        details: everything else that the worker recorded.
    """

    label: str
    classes: IntArray
    details: Explained


class Answers(NamedTuple):
    """The contenders of a ranking with recorded predictions, and the test images.

    Attributes:
        title: the ranking's title.
        members: in the ranking's order.
        labels: (n,) of the test images.
        shape: height, width and channels of an image.
        pictures: the images that can be drawn, by position.
    """

    title: str
    members: tuple[Answer, ...]
    labels: IntArray
    shape: tuple[int, int, int]
    pictures: dict[int, Picture]

    @property
    def disputed(self) -> list[int]:
        """Positions of the images that not all answer alike, those with most dissent first."""
        return disputed([member.classes for member in self.members])

    def pixels(self, position: int) -> IntArray:
        """(height, width, channels) uint8 of an image that can be drawn."""
        pixels = np.frombuffer(self.pictures[position].pixels, np.uint8)
        return pixels.reshape(self.shape)

    def saliency(self, member: Answer) -> list[IntArray]:
        """(height, width) uint8 for each of the member's examples; empty where not known."""
        height, width, _ = self.shape
        shades = (
            decompress(member.details.saliency)
            if member.details.saliency
            else np.empty(0, np.uint8)
        )
        if shades.size != len(member.details.examples) * height * width:
            return []
        return list(shades.reshape(-1, height, width))


def explained(ranking: Ranking, sources: Sequence[Source]) -> list[tuple[Contender, Explanation]]:
    """Return the contenders with recorded predictions, each with those of its first such trial."""
    recorded = {
        (source.name, each.trial): each for source in sources for each in source.run.explanations
    }
    return [
        (contender, recorded[contender.run, record.trial])
        for contender in ranking.measured
        for record in contender.records
        if (contender.run, record.trial) in recorded
    ]


def answers_of(ranking: Ranking, sources: Sequence[Source], most: int) -> Answers | None:
    """Return the answers of the first contenders with recorded predictions; None without any.

    Args:
        ranking: the ranking of the contenders.
        sources: the runs.
        most: largest number of contenders.
    """
    of_runs = {source.name: source.run.pictures for source in sources}
    usable = [
        (contender, told, pictures)
        for contender, told in explained(ranking, sources)
        if (pictures := of_runs[contender.run]) is not None and _fits(told, pictures)
    ][:most]
    if not usable:
        return None
    pictures = usable[0][2]
    alike = [each for each in usable if each[2].labels == pictures.labels]
    drawable = {one.position: one for _, _, those in alike for one in those.pictures}
    return Answers(
        title=ranking.title,
        members=tuple(Answer(c.label, each.classes, each.told) for c, each, _ in alike),
        labels=decompress(pictures.labels),
        shape=pictures.shape,
        pictures={at: one for at, one in drawable.items() if _is_whole(one, pictures.shape)},
    )


def _fits(explanation: Explanation, pictures: Pictures) -> bool:
    """Return whether there is one answer per label; files of other people may contain anything."""
    try:
        images = len(decompress(pictures.labels))
    except ValueError:
        return False
    return images > 0 and fits(explanation, images)


def _is_whole(picture: Picture, shape: tuple[int, int, int]) -> bool:
    height, width, channels = shape
    return len(picture.pixels) == height * width * channels and channels in (1, 3)


def confusion(labels: IntArray, classes: IntArray, size: int) -> IntArray:
    """(size, size) counts: the images of each label, a row, by the class that was answered."""
    table = np.zeros((size, size), np.int64)
    np.add.at(table, (labels, classes), 1)
    return table
