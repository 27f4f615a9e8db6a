"""The pixels that influence a class's logit: its gradient by the image."""

from __future__ import annotations

import numpy as np

from backends.numpy.lowering import lower
from backends.numpy.weights import Store
from bench.spec.shapes import Node
from bench.spec.weights import FloatArray, IntArray, Weights


def input_gradients(
    model: Node, weights: Weights, images: FloatArray, classes: IntArray
) -> FloatArray:
    """Return the gradient of one logit of each image by its pixels, in inference mode.

    Simonyan, Vedaldi and Zisserman, "Deep Inside Convolutional Networks" (2013), section 3.

    Args:
        model: the resolved model.
        weights: all weights of the trained model.
        images: (n, height, width, channels), scaled as for training.
        classes: (n,), the class whose logit is differentiated for each image.

    Returns:
        (n, height, width, channels) float32.

    Raises:
        Unsupported: a layer that the framework does not support.
    """
    forward = lower(model, Store(model, weights, np.float32), wanted=True)
    logits, backward = forward(images, False)
    chosen = np.zeros_like(logits)
    chosen[np.arange(len(classes)), classes] = 1
    gradient = backward(chosen)
    if gradient is None:
        raise RuntimeError("a layer returned no gradient by its input although it was requested")
    return gradient
