"""The devices of a session: one, or several that share each batch.

Several devices are the replicas of a MirroredStrategy, or of a MultiWorkerMirroredStrategy over
several machines. Each replica has all variables and an equal part of each batch; losses, gradients
and statistics are averaged over the replicas.
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
    """A single device."""

    number = 1

    def __init__(self, name: str) -> None:
        self._name = name

    def placing(self) -> AbstractContextManager[Any]:
        """Return the context in which variables are made."""
        return cast("AbstractContextManager[Any]", tf.device(self._name))

    def placed(self, values: Any, dtype: tf.DType) -> Any:
        """Place values from which batches are gathered."""
        return tf.cast(tf.constant(values), dtype)

    def own_part(self, batch: Any) -> Any:
        """Return the replica's part of a batch."""
        return batch

    def own_stream(self, stream: int) -> tf.Tensor:
        """Return the replica's own random stream, an int64 number."""
        return tf.constant(stream, tf.int64)

    def averaged(self, tensors: Sequence[tf.Tensor]) -> Sequence[tf.Tensor]:
        """Return the means over the replicas; called in each replica, differentiable."""
        return tensors

    def gathered(self, rows: tf.Tensor) -> tf.Tensor:
        """Return the rows of all replicas, in the order of the batch; called in each replica."""
        return rows

    def on_each(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call the function on every replica; `first` reads the result."""
        return function(*arguments)

    def first(self, result: Any) -> Any:
        """Return one replica's value of a result that is the same on all."""
        return result

    def agree(self, decision: bool) -> bool:
        """Wait for the other hosts and return the decision of rank 0; see `Session.agree`."""
        return decision

    def finish(self, variables: Sequence[tf.Variable]) -> None:
        """Wait until the devices are idle and the variables have their values."""
        tf.test.experimental.sync_devices()


class Replicas(OneDevice):
    """Several devices, with an equal part of each batch on each."""

    def __init__(self, name: str, number: int, strategy: tf.distribute.Strategy) -> None:
        """Take the `number` devices of a strategy; `name` is the first one of this machine."""
        super().__init__(name)
        self.number = number
        self._strategy = strategy

    def placing(self) -> AbstractContextManager[Any]:
        """See `OneDevice.placing`: a copy of each variable on every device."""
        return cast("AbstractContextManager[Any]", self._strategy.scope())

    def placed(self, values: Any, dtype: tf.DType) -> Any:
        """See `OneDevice.placed`: a variable, because each device has its own copy."""
        with self.placing():
            return tf.Variable(tf.cast(tf.constant(values), dtype), trainable=False)

    def own_part(self, batch: tf.Tensor) -> tf.Tensor:
        """See `OneDevice.own_part`: from indices (batch,) to (batch / number,)."""
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
    """The replicas of several machines; this process runs those of its machine."""

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

        TensorFlow cannot synchronise devices in one of several processes. A copy to the host
        waits for the work that was enqueued before it on the same device.
        """
        for variable in variables[:1]:
            copy_of(variable)


@cache
def _strategy(names: tuple[str, ...]) -> Any:
    """Return the process's only strategy for these devices: two would mix up exchanges."""
    return tf.distribute.MirroredStrategy(names)


def _summed(value: tf.Tensor) -> tf.Tensor:
    """The sum over the replicas, called in each."""
    context = tf.distribute.get_replica_context()
    own = tf.identity(value)  # on the replica's device, by which the reduction finds its place
    (total,) = context.all_reduce(tf.distribute.ReduceOp.SUM, [own])
    return total


def _rank() -> Any:
    """Return the number of the current replica."""
    return tf.distribute.get_replica_context().replica_id_in_sync_group


@cache
def _hosts_strategy(group: ProcessGroup, kind: str, number: int) -> Any:
    """Return the strategy of several machines, with a number of devices on each."""
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
    """Return the devices of a workload.

    Raises:
        Unsupported: there are fewer, or the strategy does not support them.
    """
    machines = group.size  # one process on each
    own = workload.world_size // machines
    names = platform.names_from(workload.device, own)
    if len(names) < own:
        raise Unsupported(
            f"world size {workload.world_size} needs {own} devices from {workload.device.name} on "
            f"and TensorFlow sees {len(names)}; set {platform.CPU_DEVICES} for more CPU devices"
        )
    if machines > 1:
        _require_first(workload, own)
        strategy = _hosts_strategy(group, workload.device.kind, own)
        return HostsReplicas(names[0], workload.world_size, strategy, group.rank == 0)
    return OneDevice(names[0]) if own == 1 else Replicas(names[0], own, _strategy(tuple(names)))


def _require_first(workload: Workload, own: int) -> None:
    """Check that MultiWorkerMirroredStrategy supports these devices."""
    if workload.device.kind == "cpu" and own > 1:
        raise Unsupported(
            f"world size {workload.world_size} needs {own} CPU devices on each host; TensorFlow's "
            "MultiWorkerMirroredStrategy supports one"
        )
    if workload.device.index:
        raise Unsupported(
            f"TensorFlow's MultiWorkerMirroredStrategy starts at gpu:0 on each host and does not "
            f"support {workload.device.name}"
        )
