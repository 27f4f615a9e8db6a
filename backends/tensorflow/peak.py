"""The fastest matrix product and copy of TensorFlow."""

from __future__ import annotations

from typing import Optional

import tensorflow as tf

from backends.api import Device, Work
from backends.tensorflow import platform

_PRECISIONS = {"float32": tf.float32, "bfloat16": tf.bfloat16}


def multiply(size: int, device: Device, precision: str) -> Optional[Work]:
    """Return a matrix product; see `Backend.multiply`."""
    dtype = _PRECISIONS.get(precision)
    if dtype is None:
        return None
    with tf.device(platform.name_of(device)):
        ones = tf.ones((size, size), dtype)

    def work() -> None:
        tf.linalg.matmul(ones, ones)
        tf.test.experimental.sync_devices()

    return work


def copy(size: int, device: Device) -> Work:
    """Return a copy in memory; see `Backend.copy`."""
    with tf.device(platform.name_of(device)):
        ones = tf.ones(size // 4)

    def work() -> None:
        tf.raw_ops.DeepCopy(x=ones)  # an assignment would share memory
        tf.test.experimental.sync_devices()

    return work
