"""Padding, and the window operations in the form that XLA runs fast on a CPU.

XLA on a CPU gives a fast kernel to a plain convolution alone. Its pooling and its convolutions in
groups are loops over single values, 3 to 50 times slower than the same result from one strided
slice of the map for each position in the window, which XLA fuses into one vectorised loop.
"""

from __future__ import annotations

from functools import reduce

import tensorflow as tf


def symmetric(padding: int) -> list[list[int]]:
    """The padding on each side of height and width, as TensorFlow writes it for (n, h, w, c)."""
    return [[0, 0], [padding, padding], [padding, padding], [0, 0]]


def pad(
    x: tf.Tensor, size: int, stride: int, padding: int, value: float = 0
) -> tuple[tf.Tensor, str]:
    """The map, padded as far as the padding that TensorFlow has a name for does not do it.

    TensorFlow's "SAME" is `padding` on every side when the windows then end where the map does;
    otherwise it pads less before than after. Explicit padding would say it in every case, but the
    CPU's kernels for it are slower, up to ten times for pooling.

    Args:
        x: (n, h, w, c).
        size: of the window.
        stride: of the window.
        padding: rows and columns on each side.
        value: to pad with.

    Returns:
        The map, and "SAME" or "VALID" for the operation that comes.
    """
    if not padding:
        return x, "VALID"
    if all((extent + 2 * padding - size) % stride == 0 for extent in x.shape[1:3]):
        return x, "SAME"
    return tf.pad(x, symmetric(padding), constant_values=value), "VALID"


def shifted(x: tf.Tensor, size: int, stride: int) -> list[tf.Tensor]:
    """For each position in the window, row by row, what lies there in every window.

    Args:
        x: (n, h, w, c), padded.
        size: of the window.
        stride: of the window.

    Returns:
        size * size maps (n, h', w', c).
    """
    height, width = (stride * ((extent - size) // stride) + 1 for extent in x.shape[1:3])
    return [
        x[:, row : row + height : stride, column : column + width : stride]
        for row in range(size)
        for column in range(size)
    ]


def shifted_max_pool(x: tf.Tensor, size: int, stride: int, padding: int) -> tf.Tensor:
    """The maximum of each window; the gradient goes to the first of equal values."""
    if padding:
        x = tf.pad(x, symmetric(padding), constant_values=x.dtype.min)
    return reduce(tf.maximum, shifted(x, size, stride))


def shifted_avg_pool(x: tf.Tensor, size: int, stride: int) -> tf.Tensor:
    """The mean of each window."""
    return tf.add_n(shifted(x, size, stride)) / size**2


def shifted_depthwise_conv(x: tf.Tensor, kernel: tf.Tensor, stride: int, padding: int) -> tf.Tensor:
    """One filter a channel; kernel (k, k, 1, c)."""
    size = kernel.shape[0]
    if padding:
        x = tf.pad(x, symmetric(padding))
    taps = tf.unstack(tf.reshape(kernel, (size**2, -1)))
    return tf.add_n([part * tap for part, tap in zip(shifted(x, size, stride), taps)])
