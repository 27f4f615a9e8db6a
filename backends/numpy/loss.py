"""The loss: softmax cross-entropy on logits, mean over the batch."""

from __future__ import annotations

import numpy as np

from bench.spec.weights import FloatArray, IntArray


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
