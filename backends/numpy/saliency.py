"""Which pixels a class's logit hangs on: its gradient by the image."""

from __future__ import annotations

import numpy as np

from backends.numpy.lowering import lower
from backends.numpy.weights import Store
from bench.spec.shapes import Node
from bench.spec.weights import FloatArray, IntArray, Weights


def input_gradients(
    model: Node, weights: Weights, images: FloatArray, classes: IntArray
) -> FloatArray:
    """The gradient of one logit of each image by its pixels, in inference mode.

    Simonyan, Vedaldi and Zisserman, "Deep Inside Convolutional Networks" (2013), section 3.

    Args:
        model: the spec with its shapes.
        weights: trained, every one of the model's.
        images: (n, height, width, channels), scaled as for training.
        classes: (n,), the class of the logit of each image.

    Returns:
        (n, height, width, channels) float32.

    Raises:
        Unsupported: a layer of an unknown class.
    """
    forward = lower(model, Store(model, weights, np.float32), wanted=True)
    logits, backward = forward(images, False)
    chosen = np.zeros_like(logits)
    chosen[np.arange(len(classes)), classes] = 1
    gradient = backward(chosen)
    if gradient is None:
        raise RuntimeError("received no gradient by the image, expected one from every layer")
    return gradient
