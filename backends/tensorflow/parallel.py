"""Where a session computes: on one device, or on several that share each batch.

Several are the replicas of a MirroredStrategy, or of several machines' MultiWorkerMirroredStrategy:
each has all variables and takes an equal part of each batch, and what belongs to the whole batch is
averaged over them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import cache
from typing import Any, cast

import tensorflow as tf

from backends.api import Unsupported, Workload, part_of
from backends.tensorflow import platform
from backends.tensorflow.weights import copy_of
from bench.spec.process_group import ProcessGroup


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

    def gathered(self, rows: tf.Tensor) -> tf.Tensor:
        """The rows of all replicas, in the order of the batch, called in each."""
        return rows

    def on_each(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call the function on every replica; what it returns, for `first`."""
        return function(*arguments)

    def first(self, result: Any) -> Any:
        """A part of the result that is alike on every replica."""
        return result

    def agree(self, decision: bool) -> bool:
        """Wait for the other hosts and return the decision of rank 0; see `Session.agree`."""
        return decision

    def finish(self, variables: Sequence[tf.Variable]) -> None:
        """Return when the devices have done all that they were told, to the variables too."""
        tf.test.experimental.sync_devices()


class Replicas(OneDevice):
    """An equal part of each batch on each of several devices."""

    def __init__(self, name: str, number: int, strategy: tf.distribute.Strategy) -> None:
        """See the class.

        Args:
            name: of this machine's first device.
            number: of all devices.
            strategy: theirs.
        """
        super().__init__(name)
        self.number = number
        self._strategy = strategy

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

    def gathered(self, rows: tf.Tensor) -> tf.Tensor:
        """See `OneDevice.gathered`."""
        return tf.distribute.get_replica_context().all_gather(rows, axis=0)


class HostsReplicas(Replicas):
    """The replicas of several machines, of which this process holds its machine's."""

    def __init__(
        self, name: str, number: int, strategy: tf.distribute.Strategy, is_first: bool
    ) -> None:
        """See the class; `is_first` says whether this process is rank 0."""
        super().__init__(name, number, strategy)
        self._is_first = is_first
        self._total = tf.function(
            lambda value: self.first(self.on_each(_summed, value)), autograph=False
        )

    def agree(self, decision: bool) -> bool:
        """See `OneDevice.agree`: the sum of what only rank 0 adds."""
        own = tf.constant(float(decision and self._is_first))
        return bool(self._total(own) > 0)

    def finish(self, variables: Sequence[tf.Variable]) -> None:
        """See `OneDevice.finish`.

        TensorFlow syncs no devices in a process that is one of several. A copy to the host waits
        for the work that was enqueued before it, on the device that it is from.
        """
        for variable in variables[:1]:
            copy_of(variable)


@cache
def _strategy(names: tuple[str, ...]) -> Any:
    """The one strategy of the process for these devices: two would number exchanges alike."""
    return tf.distribute.MirroredStrategy(names)


def _summed(value: tf.Tensor) -> tf.Tensor:
    """The sum over the replicas, called in each."""
    context = tf.distribute.get_replica_context()
    own = tf.identity(value)  # on the replica's device, by which the reduction finds its place
    (total,) = context.all_reduce(tf.distribute.ReduceOp.SUM, [own])
    return total


def _rank() -> Any:
    """The number of the replica that this is called in."""
    return tf.distribute.get_replica_context().replica_id_in_sync_group


@cache
def _hosts_strategy(group: ProcessGroup, kind: str, number: int) -> Any:
    """The strategy of several machines, with so many devices of each."""
    names = {"worker": list(group.addresses)}
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec(names),
        task_type="worker",
        task_id=group.rank,
        num_accelerators={"GPU": number} if kind == "gpu" else None,
        rpc_layer="grpc",
    )
    return tf.distribute.MultiWorkerMirroredStrategy(resolver)


def devices_of(workload: Workload, group: ProcessGroup) -> OneDevice:
    """The devices that the workload asks for.

    Raises:
        Unsupported: there are fewer, or the strategy takes no such.
    """
    machines = group.size  # one process on each
    own = workload.world_size // machines
    names = platform.names_from(workload.device, own)
    if len(names) < own:
        raise Unsupported(
            f"world size {workload.world_size}: from {workload.device.name} on, TensorFlow has "
            f"{len(names)} devices; those of the CPU are set in {platform.CPU_DEVICES} before "
            "it starts"
        )
    if machines > 1:
        _require_first(workload, own)
        strategy = _hosts_strategy(group, workload.device.kind, own)
        return HostsReplicas(names[0], workload.world_size, strategy, group.rank == 0)
    return OneDevice(names[0]) if own == 1 else Replicas(names[0], own, _strategy(tuple(names)))


def _require_first(workload: Workload, own: int) -> None:
    """See that these are the devices that MultiWorkerMirroredStrategy takes."""
    if workload.device.kind == "cpu" and own > 1:
        raise Unsupported(
            f"world size {workload.world_size}: TensorFlow's MultiWorkerMirroredStrategy takes one "
            f"CPU device of each host, not {own}"
        )
    if workload.device.index:
        raise Unsupported(
            f"device {workload.device.name}: TensorFlow's MultiWorkerMirroredStrategy takes the "
            "GPUs of each host from gpu:0 on"
        )
