"""Figures of test images: confusion of classes, disputed images, saliency."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.spec.weights import IntArray
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
from reports.formats import shortened

_ACROSS = 3  # matrices side by side
_IMAGES_ACROSS = 8
_GAP = 0.2
_LINE = 0.17  # inches of a line of small print
_MARGIN = 0.15


def confusion(title: str, labels: Sequence[str], tables: Sequence[IntArray]) -> Figure:
    """A matrix for each contender: labels down, answers across; counts off the diagonal only."""
    side = (WIDTH - 2 * _MARGIN) / _ACROSS - _GAP - 0.2
    cell = side + 0.55
    lines = -(-len(tables) // _ACROSS)
    figure = sheet("Errors by class", title, TOP + lines * cell + BOTTOM)
    for place, (label, table) in enumerate(zip(labels, tables, strict=True)):
        line, column = divmod(place, _ACROSS)
        left = _MARGIN + 0.25 + column * (side + _GAP + 0.2)
        axes = panel(figure, left, BOTTOM + (lines - 1 - line) * cell + 0.1, side, side)
        _matrix(axes, table)
        axes.set_title(shortened(label, LONGEST_LABEL), size=10, loc="left")
    return figure


def _matrix(axes: Axes, table: IntArray) -> None:
    errors = table - np.diag(np.diag(table))
    axes.imshow(errors, cmap="Oranges", vmin=0, vmax=max(1, errors.max()), interpolation="none")
    axes.set_xticks(range(len(table)))
    axes.set_yticks(range(len(table)))
    axes.tick_params(labelsize=8)
    if len(table) > 26:  # numbers would not be read
        return
    for label, answer in np.argwhere(errors > 0):
        count = errors[label, answer]
        ink = INK if count < 0.6 * errors.max() else "#ffffff"
        axes.text(answer, label, str(count), size=7, ha="center", va="center", color=ink)


def disputed(title: str, images: Sequence[IntArray], captions: Sequence[str]) -> Figure:
    """Images in rows, each with lines of small print below."""
    side = (WIDTH - 2 * _MARGIN) / _IMAGES_ACROSS - _GAP
    print_lines = max(caption.count("\n") + 1 for caption in captions)
    cell = side + print_lines * _LINE + _GAP
    lines = -(-len(images) // _IMAGES_ACROSS)
    figure = sheet("Images that they answer differently", title, TOP + lines * cell)
    for place, (image, caption) in enumerate(zip(images, captions, strict=True)):
        line, column = divmod(place, _IMAGES_ACROSS)
        left = _MARGIN + column * (side + _GAP)
        bottom = (lines - 1 - line) * cell + print_lines * _LINE + _GAP / 2
        axes = panel(figure, left, bottom, side, side)
        _image(axes, image)
        axes.text(0, -0.06, caption, transform=axes.transAxes, size=7.5, color=MUTED, va="top")
    return figure


def saliency(
    title: str,
    examples: Sequence[IntArray],
    rows: Sequence[tuple[str, Sequence[IntArray], Sequence[str]]],
) -> Figure:
    """A row of the images, then one for each contender: what its answer hangs on, darker is more.

    Args:
        title: of the ranking.
        examples: the images.
        rows: for each contender its label, a (height, width) array for each image, and its answers.
    """
    named = 1.9
    side = (WIDTH - named - _MARGIN) / len(examples) - 0.08
    cell = side + _LINE + 0.06
    figure = sheet("Pixels that the answer hangs on", title, TOP + (len(rows) + 1) * cell + 0.1)
    shown = [("test image", examples, [""] * len(examples)), *rows]
    for line, (label, images, answers) in enumerate(shown):
        bottom = (len(rows) - line) * cell + _LINE + 0.1
        for column, (image, answer) in enumerate(zip(images, answers, strict=True)):
            axes = panel(figure, named + column * (side + 0.08), bottom, side, side)
            _image(axes, image)
            axes.text(0.5, -0.05, answer, transform=axes.transAxes, size=8, ha="center", va="top")
            if column == 0:
                name = shortened(label, 24)
                axes.text(-0.15, 0.5, name, transform=axes.transAxes, ha="right", va="center")
    return figure


def _image(axes: Axes, image: IntArray) -> None:
    """Grey ones dark on light, as ink on paper."""
    axes.set_xticks([])
    axes.set_yticks([])
    flat = image[..., 0] if image.ndim == 3 and image.shape[-1] == 1 else image
    axes.imshow(flat, cmap="Greys", vmin=0, vmax=255, interpolation="none")
