"""Padding, and window operations in the form that XLA runs fast on a CPU.

On a CPU, XLA has a fast kernel only for plain convolutions. Its pooling and grouped convolutions
are loops over single values. One strided slice of the map for each position in the window gives the
same result 3 to 50 times faster, because XLA fuses the slices into one vectorised loop.
"""

from __future__ import annotations

from functools import reduce

import tensorflow as tf


def symmetric(padding: int) -> list[list[int]]:
    """Return the padding of height and width in TensorFlow's form for (n, h, w, c)."""
    return [[0, 0], [padding, padding], [padding, padding], [0, 0]]


def pad(
    x: tf.Tensor, size: int, stride: int, padding: int, value: float = 0
) -> tuple[tf.Tensor, str]:
    """Pad a map where none of TensorFlow's named paddings is equivalent.

    TensorFlow's "SAME" is equal to `padding` on every side where the last window ends at the edge;
    otherwise it pads less before than after. Explicit padding works in every case, but the CPU's
    kernels for it are slower, up to ten times for pooling.

    Args:
        x: (n, h, w, c).
        size: the size of the window.
        stride: the stride of the window.
        padding: the rows and columns on each side.
        value: the value of the padding.

    Returns:
        The map, and "SAME" or "VALID" for the following operation.
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
        size: the size of the window.
        stride: the stride of the window.

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
    """Return the maximum of each window; the gradient goes to the first of equal values."""
    if padding:
        x = tf.pad(x, symmetric(padding), constant_values=x.dtype.min)
    return reduce(tf.maximum, shifted(x, size, stride))


def shifted_avg_pool(x: tf.Tensor, size: int, stride: int) -> tf.Tensor:
    """Return the mean of each window."""
    return tf.add_n(shifted(x, size, stride)) / size**2


def shifted_depthwise_conv(x: tf.Tensor, kernel: tf.Tensor, stride: int, padding: int) -> tf.Tensor:
    """Convolve with one filter per channel; the kernel is (k, k, 1, c)."""
    size = kernel.shape[0]
    if padding:
        x = tf.pad(x, symmetric(padding))
    taps = tf.unstack(tf.reshape(kernel, (size**2, -1)))
    return tf.add_n([part * tap for part, tap in zip(shifted(x, size, stride), taps)])
