"""TensorFlow's own input pipeline: tf.data over images in host memory."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt
import tensorflow as tf

from backends.tensorflow.steps import Run, Schedule, Step, while_loop
from bench.spec.weights import IntArray


class Loader:
    """Makes data sets of batches of pixels and labels in a given order."""

    def __init__(self, pixels: npt.NDArray[Any], labels: IntArray) -> None:
        """Store uint8 pixels (n, ...) and labels (n,) in host memory."""
        with tf.device("CPU:0"):
            self._pixels = tf.constant(pixels)
            self._labels = tf.constant(labels, tf.int64)
        self._options = tf.data.Options()
        # The threads of one operation; the default is one per CPU.
        threads = tf.config.threading.get_intra_op_parallelism_threads()
        self._options.threading.private_threadpool_size = threads

    def __call__(self, batches: tf.Tensor) -> tf.data.Dataset:
        """Return a data set of the batches of (steps, batch) indices, gathered ahead."""
        order = tf.data.Dataset.from_tensor_slices(batches)
        gathered = order.map(self._gather, num_parallel_calls=tf.data.AUTOTUNE)
        return gathered.prefetch(tf.data.AUTOTUNE).with_options(self._options)

    def _gather(self, batch: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.gather(self._pixels, batch), tf.gather(self._labels, batch)


def scaled(batch: tuple[tf.Tensor, tf.Tensor], dtype: tf.DType) -> tuple[tf.Tensor, tf.Tensor]:
    """Return a loader's batch as images scaled to -1 to 1, and labels."""
    pixels, labels = batch
    kept = tf.float64 if dtype == tf.float64 else tf.float32
    return tf.cast(tf.cast(pixels, kept) * (2 / 255) - 1, dtype), labels


def pipeline_loop(step: Step, load: Loader, mode: str) -> Run:
    """Return the loop over a loader's batches: in Python in mode eager, otherwise in a graph.

    XLA does not support iterators: in mode xla, the graph's loop calls a step compiled by XLA.
    """
    if mode == "eager":
        return lambda schedule, count: _eager(step, load(schedule.batches), schedule, count)
    if mode == "xla":
        step = tf.function(step, autograph=False, jit_compile=True)

    def run(batches: Any, schedule: Schedule, count: tf.Tensor) -> tf.Tensor:
        return while_loop(step, schedule, count, lambda _: batches.get_next())

    compiled = tf.function(run, autograph=False)
    return lambda schedule, count: compiled(
        iter(load(schedule.batches)), schedule, tf.constant(count)
    )


def _eager(step: Step, batches: Any, schedule: Schedule, count: int) -> tf.Tensor:
    rows = zip(*(tf.unstack(column) for column in (schedule.steps, *schedule.settings)))
    taken = zip(batches.take(count), rows)
    return tf.stack([step(batch, number, settings) for batch, (number, *settings) in taken])
