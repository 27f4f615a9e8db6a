"""Where a session computes: on one device, or on several that share each batch.

Several are the replicas of a MirroredStrategy: each has all variables and takes an equal part of
each batch, and what belongs to the whole batch is averaged over them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import cache
from typing import Any, cast

import tensorflow as tf

from backends.api import Unsupported, Workload, part_of
from backends.tensorflow import platform


class OneDevice:
    """All of each batch on one device."""

    number = 1

    def __init__(self, name: str) -> None:
        """See the class; the name is TensorFlow's."""
        self._name = name

    def placing(self) -> AbstractContextManager[Any]:
        """Where variables are made."""
        return cast("AbstractContextManager[Any]", tf.device(self._name))

    def held(self, values: Any, dtype: tf.DType) -> Any:
        """The values where batches are gathered from."""
        return tf.cast(tf.constant(values), dtype)

    def own_part(self, batch: Any) -> Any:
        """What of a batch a replica takes."""
        return batch

    def own_stream(self, stream: int) -> tf.Tensor:
        """The number of a random stream that is a replica's own, int64."""
        return tf.constant(stream, tf.int64)

    def averaged(self, tensors: Sequence[tf.Tensor]) -> Sequence[tf.Tensor]:
        """The means over the replicas, called in each; it has a gradient."""
        return tensors

    def on_each(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call the function on every replica; what it returns, for `first` and `joined`."""
        return function(*arguments)

    def first(self, result: Any) -> Any:
        """A part of the result that is alike on every replica."""
        return result

    def joined(self, result: Any) -> Any:
        """A part of the result whose rows are those of the replica's own part of the batch."""
        return result


class Replicas(OneDevice):
    """An equal part of each batch on each of several devices."""

    def __init__(self, names: list[str]) -> None:
        """See the class; at least two names."""
        super().__init__(names[0])
        self.number = len(names)
        self._strategy = _strategy(tuple(names))

    def placing(self) -> AbstractContextManager[Any]:
        """See `OneDevice.placing`: a copy of each variable on every device."""
        return cast("AbstractContextManager[Any]", self._strategy.scope())

    def held(self, values: Any, dtype: tf.DType) -> Any:
        """See `OneDevice.held`: a variable, since each device has its own copy of one."""
        with self.placing():
            return tf.Variable(tf.cast(tf.constant(values), dtype), trainable=False)

    def own_part(self, batch: tf.Tensor) -> tf.Tensor:
        """See `OneDevice.own_part`: of the indices (batch,), the replica's, (batch / number,)."""
        parts = tf.reshape(batch, (self.number, part_of(batch.shape[0], self.number)))
        return tf.gather(parts, _rank())

    def own_stream(self, stream: int) -> tf.Tensor:
        """See `OneDevice.own_stream`."""
        return stream + tf.cast(_rank(), tf.int64)

    def averaged(self, tensors: Sequence[tf.Tensor]) -> Sequence[tf.Tensor]:
        """See `OneDevice.averaged`."""
        context = tf.distribute.get_replica_context()
        mean: Sequence[tf.Tensor] = context.all_reduce(tf.distribute.ReduceOp.MEAN, list(tensors))
        return mean

    def on_each(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """See `OneDevice.on_each`."""
        return self._strategy.run(function, args=arguments)

    def first(self, result: Any) -> Any:
        """See `OneDevice.first`."""
        return self._strategy.experimental_local_results(result)[0]

    def joined(self, result: Any) -> Any:
        """See `OneDevice.joined`."""
        return tf.concat(self._strategy.experimental_local_results(result), axis=0)


@cache
def _strategy(names: tuple[str, ...]) -> Any:
    """The one strategy of the process for these devices: two would number exchanges alike."""
    return tf.distribute.MirroredStrategy(names)


def _rank() -> Any:
    """The number of the replica that this is called in."""
    return tf.distribute.get_replica_context().replica_id_in_sync_group


def devices_of(workload: Workload) -> OneDevice:
    """The devices that the workload asks for.

    Raises:
        Unsupported: there are fewer.
    """
    names = platform.names_from(workload.device, workload.world_size)
    if len(names) < workload.world_size:
        raise Unsupported(
            f"world size {workload.world_size}: from {workload.device.name} on, TensorFlow has "
            f"{len(names)} devices; those of the CPU are set in {platform.CPU_DEVICES} before "
            "it starts"
        )
    return OneDevice(names[0]) if len(names) == 1 else Replicas(names)
