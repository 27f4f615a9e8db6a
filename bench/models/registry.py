"""The models that come with the suite, by name."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import NamedTuple

from bench.models.cnn import cnn, lenet5
from bench.models.errors import ModelError
from bench.models.mlp import linear_mlp, mlp
from bench.spec.layers import Layer
from bench.spec.shapes import Shape, ShapeError, resolve


class ModelEntry(NamedTuple):
    """A model of the suite.

    Attributes:
        build: makes the model for a number of classes.
        summary: one line for a person.
        input_shape: the (height, width, channels) that the model is meant for.
        classes: the number of classes that the model is meant for.
        published: whether it is a paper's own form, at its full size; the others are small
            enough to train on MNIST in minutes.
    """

    build: Callable[[int], Layer]
    summary: str
    input_shape: Shape = (28, 28, 1)
    classes: int = 10
    published: bool = False


MODELS: dict[str, ModelEntry] = {
    "mlp": ModelEntry(mlp, "784-128-64-10 with ReLU"),
    "linear_mlp": ModelEntry(linear_mlp, "784-128-64-10 without activations"),
    "lenet5": ModelEntry(lenet5, "LeNet-5: two 5x5 convolutions, tanh, average pooling"),
    "cnn": ModelEntry(cnn, "two 3x3 convolutions, max pooling, dense 128"),
}


def entry(name: str) -> ModelEntry:
    """The model of that name.

    Raises:
        ModelError: no model has it; names the known ones and the nearest.
    """
    if name in MODELS:
        return MODELS[name]
    nearest = difflib.get_close_matches(name, MODELS, n=1)
    hint = f"; did you mean {nearest[0]}?" if nearest else ""
    known = ", ".join(MODELS)
    raise ModelError(f"the model {name!r}", f"path/to/file.py:function or one of {known}{hint}")


def build(name: str, classes: int | None = None) -> Layer:
    """The model of that name, for `classes` classes or for the number that it is meant for.

    Raises:
        ModelError: no model has that name.
    """
    found = entry(name)
    return found.build(found.classes if classes is None else classes)


def names_for(input_shape: Shape) -> tuple[str, ...]:
    """The names of all models that are meant for images of this shape.

    A published form is meant for its own input shape alone, a small one for whatever fits it.
    """
    return tuple(name for name, found in MODELS.items() if _is_meant_for(found, input_shape))


def _is_meant_for(found: ModelEntry, input_shape: Shape) -> bool:
    if found.published:
        return found.input_shape == input_shape
    try:
        resolve(found.build(found.classes), input_shape)
    except ShapeError:
        return False
    return True
