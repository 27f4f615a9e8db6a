"""One model in NumPy: one eager step after the other, on the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from backends.api import Gradients, Session, Workload
from backends.numpy.lowering import lower
from backends.numpy.optimizers import update_rule
from backends.numpy.weights import Store
from bench.spec.shapes import Node
from bench.spec.training import scale_pixels
from bench.spec.weights import FloatArray, IntArray, Weights

# The images per inference batch: a convolution copies its windows k * k times.
_PREDICT_BATCH = 128


class NumpySession(Session):
    """A model with its weights, optimizer state and data, in arrays of one precision."""

    def __init__(self, workload: Workload) -> None:
        self._dtype = np.dtype(workload.precision)
        self._images = self._held(workload)
        self._labels = np.array(workload.labels)
        self._store = Store(workload.model, workload.weights, self._dtype, workload.seed)
        self._forward = lower(workload.model, self._store)
        self._update = update_rule(
            workload.optimizer, self._store.values.flat, self._store.gradients.flat
        )

    def compile(self, steps: int, batch_size: int) -> None:
        """Do nothing: NumPy runs each operation when it is called."""

    def train(self, batches: IntArray, learning_rates: FloatArray) -> FloatArray:
        """Train one step on each batch, in order; see `Session.train`."""
        losses = np.empty(len(batches), np.float32)
        with _diverging_allowed():
            for step, (batch, rate) in enumerate(zip(batches, learning_rates)):
                _, losses[step] = self._differentiate(batch)
                self._store.keep_statistics()
                self._update(float(rate))
        return losses

    def predict(self, images: FloatArray) -> FloatArray:
        """Return logits (n, classes); see `Session.predict`."""
        parts = range(0, len(images), _PREDICT_BATCH)
        with _diverging_allowed():
            return np.concatenate(
                [self._infer(images[start : start + _PREDICT_BATCH]) for start in parts]
            )

    def gradients(self, batch: IntArray) -> Gradients:
        """Return the gradients for one batch; see `Session.gradients`."""
        stream = self._store.random.bit_generator.state
        with _diverging_allowed():
            logits, loss = self._differentiate(batch)
        self._store.random.bit_generator.state = stream
        return Gradients(logits, loss, self._store.copy_gradients())

    def weights(self) -> Weights:
        """Return all weights and running statistics, in the session's precision."""
        return self._store.weights()

    def _differentiate(self, batch: IntArray) -> tuple[FloatArray, float]:
        """Return logits and loss; write gradients and next statistics to the store."""
        logits, backward = self._forward(self._scaled(self._images[batch]), True)
        loss, dlogits = softmax_cross_entropy(logits, self._labels[batch])
        backward(dlogits)
        return logits, loss

    def _held(self, workload: Workload) -> npt.NDArray[Any]:
        """Copy the scaled images; with a pipeline, return the pixels, which each batch scales."""
        if workload.input == "pipeline":
            return workload.images
        return np.array(workload.images, dtype=self._dtype)

    def _scaled(self, images: npt.NDArray[Any]) -> FloatArray:
        if images.dtype == np.uint8:
            return scale_pixels(images).astype(self._dtype, copy=False)
        return images

    def _infer(self, images: FloatArray) -> FloatArray:
        logits, _ = self._forward(images.astype(self._dtype, copy=False), False)
        return logits


def _diverging_allowed() -> np.errstate:
    """Ignore overflow: a loss of inf or NaN is a result, which the suite reports."""
    return np.errstate(over="ignore", invalid="ignore", divide="ignore")


def softmax_cross_entropy(logits: FloatArray, labels: IntArray) -> tuple[float, FloatArray]:
    """Return the mean of -log softmax(logits)[label], and its gradient.

    Args:
        logits: (batch, classes).
        labels: (batch,) classes.

    Returns:
        The loss, and its gradient by the logits, (softmax - one-hot) / batch: (batch, classes).
    """
    rows = np.arange(len(labels))
    # Shifting a row does not change softmax; with a maximum of 0, exp is at most 1.
    shifted = logits - logits.max(axis=1, keepdims=True)
    exponentials = np.exp(shifted)
    totals = exponentials.sum(axis=1, keepdims=True)
    losses = np.log(totals[:, 0]) - shifted[rows, labels]
    gradient = exponentials / totals
    gradient[rows, labels] -= 1
    gradient /= len(labels)
    return float(losses.sum()) / len(labels), gradient


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
