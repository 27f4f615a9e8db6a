"""Figures of test images: confusion of classes, disputed images, saliency."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.textpath import TextPath
from matplotlib.transforms import Affine2D

from bench.spec.weights import IntArray
from reports.display import shortened
from reports.figures.canvas import (
    BOTTOM,
    INK,
    LONGEST_LABEL,
    MUTED,
    TOP,
    WIDTH,
    panel,
    sheet,
)

_ACROSS = 3  # matrices side by side
_MOST_NAMES = 3  # above a matrix
_IMAGES_ACROSS = 8
_GAP = 0.2
_LINE = 0.17  # inches of a line of small print
_MARGIN = 0.15


def confusion(title: str, labels: Sequence[str], tables: Sequence[IntArray]) -> Figure:
    """Draw matrices of labels by answers, with counts off the diagonal only.

    Contenders whose matrices are equal share one, under all their names.
    """
    distinct = _grouped(labels, tables)
    side = (WIDTH - 2 * _MARGIN) / _ACROSS - _GAP - 0.2
    names = max(len(group.labels) for group in distinct)
    headed = 0.20 + _LINE * min(names, _MOST_NAMES + 1)
    cell = side + headed + 0.18
    lines = -(-len(distinct) // _ACROSS)
    figure = sheet("Errors by class", title, TOP + lines * cell + BOTTOM)
    for place, group in enumerate(distinct):
        line, column = divmod(place, _ACROSS)
        left = _MARGIN + 0.25 + column * (side + _GAP + 0.2)
        axes = panel(figure, left, BOTTOM + (lines - 1 - line) * cell + 0.1, side, side)
        _matrix(figure, axes, group.table)
        axes.tick_params(labelleft=column == 0, labelbottom=place + _ACROSS >= len(distinct))
        axes.set_title(_heading(group.labels), size=10, loc="left")
    return figure


class _Group(NamedTuple):
    """Contenders that answer with the same errors, counted by label and answer."""

    labels: list[str]
    table: IntArray


def _grouped(labels: Sequence[str], tables: Sequence[IntArray]) -> list[_Group]:
    """Return the distinct tables in the order of their first contender."""
    groups: dict[bytes, _Group] = {}
    for label, table in zip(labels, tables, strict=True):
        groups.setdefault(table.tobytes(), _Group([], table)).labels.append(label)
    return list(groups.values())


def _heading(labels: Sequence[str]) -> str:
    """Return one line per label for the first few, then the number of the others."""
    shown = [shortened(label, LONGEST_LABEL) for label in labels[:_MOST_NAMES]]
    left_out = len(labels) - len(shown)
    return "\n".join(shown + [f"and {left_out} more"] * (left_out > 0))


def _matrix(figure: Figure, axes: Axes, table: IntArray) -> None:
    errors = table - np.diag(np.diag(table))
    axes.imshow(errors, cmap="Oranges", vmin=0, vmax=max(1, errors.max()), interpolation="none")
    axes.set_xticks(range(len(table)))
    axes.set_yticks(range(len(table)))
    axes.tick_params(labelsize=8)
    if len(table) <= 26:  # more numbers would not be read
        for count in np.unique(errors[errors > 0]):
            places = np.argwhere(errors == count)[:, ::-1]
            ink = INK if count < 0.6 * errors.max() else "#ffffff"
            numbers = _numbers(int(count), places, ink)
            numbers.set_transform(figure.dpi_scale_trans)
            numbers.set_offset_transform(axes.transData)
            axes.add_collection(numbers, autolim=False)


def _numbers(number: int, places: IntArray, colour: str) -> PathCollection:
    """Draw the number at each (column, row) as one collection: single texts take a second.

    Its shape is in inches.
    """
    shape = TextPath((0, 0), str(number), size=7 / 72)
    extents = shape.get_extents()
    middle = (extents.x0 + extents.x1) / 2, (extents.y0 + extents.y1) / 2
    centred = shape.transformed(Affine2D().translate(-middle[0], -middle[1]))
    return PathCollection([centred], offsets=places, facecolor=colour, linewidth=0)


class _Mosaic(NamedTuple):
    """Images on one sheet, since a hundred axes take seconds to draw.

    Attributes:
        sheet: (height, width) of grey, 0 where there is no image.
        across: pixels from an image to the next in its row.
        down: from a row to the next.
        size: (height, width) of an image.
    """

    sheet: IntArray
    across: int
    down: int
    size: tuple[int, int]

    def middle(self, column: int) -> float:
        """Return the middle of the images in that column, in pixels."""
        return column * self.across + self.size[1] / 2

    def below(self, line: int) -> float:
        """Return the lower end of the images in that row, in pixels."""
        return line * self.down + self.size[0]


def _mosaic(rows: Sequence[Sequence[IntArray]], side: float, gap: float, below: float) -> _Mosaic:
    """Arrange images, each `side` inches wide, with gaps in inches between and below them."""
    height, width = rows[0][0].shape[:2]
    inch = width / side
    across, down = round(width + gap * inch), round(height + below * inch)
    sheet = np.zeros((len(rows) * down, max(map(len, rows)) * across), np.uint8)
    for line, images in enumerate(rows):
        for column, image in enumerate(images):
            top, left = line * down, column * across
            grey = image.mean(axis=-1) if image.ndim == 3 else image
            sheet[top : top + height, left : left + width] = grey
    return _Mosaic(sheet, across, down, (height, width))


def _hung(title: str, subtitle: str, mosaic: _Mosaic, left: float) -> tuple[Figure, Axes]:
    """Draw the mosaic on a figure of the usual width, dark on light, `left` inches inwards."""
    high, wide = mosaic.sheet.shape
    width = WIDTH - left - _MARGIN
    height = width * high / wide
    figure = sheet(title, subtitle, TOP + height)
    axes = panel(figure, left, 0, width, height)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.imshow(mosaic.sheet, cmap="Greys", vmin=0, vmax=255, interpolation="none")
    return figure, axes


def disputed(title: str, images: Sequence[IntArray], captions: Sequence[str]) -> Figure:
    """Draw images in rows, each with lines of small print below."""
    side = (WIDTH - 2 * _MARGIN) / _IMAGES_ACROSS - _GAP
    print_lines = max(caption.count("\n") + 1 for caption in captions)
    full = [*images, *[np.zeros_like(images[0])] * (-len(images) % _IMAGES_ACROSS)]
    rows = [full[at : at + _IMAGES_ACROSS] for at in range(0, len(full), _IMAGES_ACROSS)]
    mosaic = _mosaic(rows, side, _GAP, print_lines * _LINE + _GAP)
    figure, axes = _hung("Images that they answer differently", title, mosaic, _MARGIN)
    for place, caption in enumerate(captions):
        line, column = divmod(place, _IMAGES_ACROSS)
        at = column * mosaic.across, mosaic.below(line) + 1
        axes.text(*at, caption, size=7.5, color=MUTED, va="top")
    return figure


def saliency(
    title: str,
    examples: Sequence[IntArray],
    rows: Sequence[tuple[str, Sequence[IntArray], Sequence[str]]],
) -> Figure:
    """A row of the images, then one for each contender: what its answer hangs on, darker is more.

    Args:
        title: the ranking's title.
        examples: the images.
        rows: for each contender its label, a (height, width) array per image, and its answers.
    """
    named = 1.9
    side = (WIDTH - named - _MARGIN) / len(examples) - 0.08
    shown = [("test image", examples, [""] * len(examples)), *rows]
    mosaic = _mosaic([images for _, images, _ in shown], side, 0.08, _LINE + 0.06)
    figure, axes = _hung("Pixels that the answer hangs on", title, mosaic, named)
    for line, (label, _, answers) in enumerate(shown):
        middle = mosaic.below(line) - mosaic.size[0] / 2
        axes.text(-3, middle, shortened(label, 24), ha="right", va="center")
        for column, answer in enumerate(answers):
            at = mosaic.middle(column), mosaic.below(line)
            axes.text(*at, answer, size=8, ha="center", va="top")
    return figure
