"""The models by name."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

from bench.errors import ModelError, ShapeError
from bench.spec.layers import Layer
from bench.spec.models import densenet, googlenet, mobilenet, plain, resnet
from bench.spec.plugins import entry_points_of, load_entry_point, plugin_error
from bench.spec.shapes import Shape, resolve


class ModelEntry(NamedTuple):
    """A model.

    Attributes:
        build: makes the model for a number of classes.
        summary: one line of description.
        input_shape: (height, width, channels) of the images that the model was designed for.
        classes: the number of classes that the model was designed for.
        published: whether it is the full-size model of a paper. The others are small enough to
            be trained on MNIST in minutes.
    """

    build: Callable[[int], Layer]
    summary: str
    input_shape: Shape = (28, 28, 1)
    classes: int = 10
    published: bool = False


def _imagenet(build: Callable[[int], Layer], summary: str) -> ModelEntry:
    return ModelEntry(build, summary, (224, 224, 3), 1000, published=True)


MODELS: dict[str, ModelEntry] = {
    "mlp": ModelEntry(plain.mlp, "784-128-64-10 with ReLU"),
    "linear_mlp": ModelEntry(plain.linear_mlp, "784-128-64-10 without activations"),
    "lenet5": ModelEntry(plain.lenet5, "LeNet-5: two 5x5 convolutions, tanh, average pooling"),
    "cnn": ModelEntry(plain.cnn, "two 3x3 convolutions, max pooling, dense 128"),
    "vgg_small": ModelEntry(plain.vgg_small, "VGG, four convolutions"),
    "googlenet_small": ModelEntry(googlenet.googlenet_small, "GoogLeNet, three modules"),
    "resnet_small": ModelEntry(resnet.resnet_small, "ResNet, three basic blocks"),
    "resnet_bottleneck_small": ModelEntry(
        resnet.resnet_bottleneck_small, "ResNet, three bottleneck blocks"
    ),
    "wrn_small": ModelEntry(resnet.wrn_small, "Wide ResNet, four blocks"),
    "densenet_small": ModelEntry(densenet.densenet_small, "DenseNet, five dense layers"),
    "se_resnet_small": ModelEntry(resnet.se_resnet_small, "SE-ResNet, three bottleneck blocks"),
    "mobilenet_v1_small": ModelEntry(mobilenet.mobilenet_v1_small, "MobileNet v1, four blocks"),
    "mobilenet_v2_small": ModelEntry(mobilenet.mobilenet_v2_small, "MobileNet v2, four blocks"),
    "efficientnet_small": ModelEntry(mobilenet.efficientnet_small, "EfficientNet, four blocks"),
    "vgg16": _imagenet(plain.vgg16, "VGG-16 (Simonyan and Zisserman, 2015)"),
    "googlenet": _imagenet(googlenet.googlenet, "GoogLeNet (Szegedy et al., 2015)"),
    "resnet18": _imagenet(resnet.resnet18, "ResNet-18 (He et al., 2016)"),
    "resnet50": _imagenet(resnet.resnet50, "ResNet-50 (He et al., 2016)"),
    "wrn28_10": ModelEntry(
        resnet.wrn28_10,
        "WRN-28-10 (Zagoruyko and Komodakis, 2016)",
        (32, 32, 3),
        published=True,
    ),
    "densenet121": _imagenet(densenet.densenet121, "DenseNet-121 (Huang et al., 2017)"),
    "se_resnet50": _imagenet(resnet.se_resnet50, "SE-ResNet-50 (Hu et al., 2018)"),
    "mobilenet_v1": _imagenet(mobilenet.mobilenet_v1, "MobileNet v1 (Howard et al., 2017)"),
    "mobilenet_v2": _imagenet(mobilenet.mobilenet_v2, "MobileNet v2 (Sandler et al., 2018)"),
    "efficientnet_b0": _imagenet(mobilenet.efficientnet_b0, "EfficientNet-B0 (Tan and Le, 2019)"),
}
GROUP = "bench.models"


@cache
def all_models() -> dict[str, ModelEntry]:
    """List all models, including those that other packages provide, by name.

    A package provides a model by an entry point in the group `bench.models`. Its name is the
    model's name, its value a `ModelEntry`.

    Raises:
        bench.errors.PluginError: an entry point cannot be loaded, is no `ModelEntry`, or has the
            name of another model.
    """
    found = dict(MODELS)
    for point in entry_points_of(GROUP):
        model = load_entry_point(point)
        if not isinstance(model, ModelEntry):
            raise plugin_error(
                point, f"received {model!r:.100}, expected a bench.spec.models.ModelEntry"
            )
        if point.name in found:
            raise plugin_error(point, f"there is another model of the name {point.name!r}")
        found[point.name] = model
    return found


def entry(name: str) -> ModelEntry:
    """Find a model by its name.

    Raises:
        ModelError: there is no such model. The message lists all names and the most similar one.
    """
    found = all_models()
    if name in found:
        return found[name]
    nearest = difflib.get_close_matches(name, found, n=1)
    hint = f"; did you mean {nearest[0]}?" if nearest else ""
    known = ", ".join(found)
    raise ModelError(f"the model {name!r}", f"path/to/file.py:function or one of {known}{hint}")


def build(name: str, classes: int | None = None) -> Layer:
    """Build a model.

    Args:
        name: of the model.
        classes: the number of classes; None for the number that the model was designed for.

    Raises:
        ModelError: there is no such model.
    """
    found = entry(name)
    return found.build(found.classes if classes is None else classes)


def names_for(input_shape: Shape) -> tuple[str, ...]:
    """List the names of all models that can be trained with images of a shape.

    Published models are only trained with the shape that they were designed for, small models with
    any shape that fits their layers.

    Args:
        input_shape: (height, width, channels).
    """
    return tuple(name for name, found in all_models().items() if _is_meant_for(found, input_shape))


def _is_meant_for(found: ModelEntry, input_shape: Shape) -> bool:
    if found.published:
        return found.input_shape == input_shape
    try:
        resolve(found.build(found.classes), input_shape)
    except ShapeError:
        return False
    return True
