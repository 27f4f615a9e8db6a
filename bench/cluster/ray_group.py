"""The nodes of a Ray cluster that run the trials of one ranking together.

All of them are reserved at once. The first runs the trials; an actor on each of the others runs its
worker processes of a trial that several nodes share.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import ray
from ray.exceptions import GetTimeoutError, RayError, RayTaskError
from ray.util.placement_group import PlacementGroup, placement_group, remove_placement_group
from ray.util.scheduling_strategies import (
    NodeAffinitySchedulingStrategy,
    PlacementGroupSchedulingStrategy,
)

from bench.cluster.agent import node_workers, work
from bench.cluster.driver import LostNodeError
from bench.cluster.lanes import Node
from bench.cluster.messages import Message, Order, Progress
from bench.cluster.node_group import NodeResult
from bench.records.manifest import Manifest
from bench.run.launch import Launch
from bench.spec.job import Trial
from bench.worker.protocol import Task

_BLAME_SECONDS = 5.0  # for Ray to report the death of a node that another node noticed
_ALIVE_SECONDS = 10.0  # how often silent nodes are checked
_PATIENCE_SECONDS = 10.0  # after which the user learns that a node is busy
_NODE_LABEL = "ray.io/node-id"  # a label that Ray gives every node
_NOT_ALIVE = "it is not alive"


class Resources(NamedTuple):
    """The resources that trials reserve on a node: all CPUs, and all GPUs if they train on them.

    Attributes:
        on_gpu: whether any trial trains on a GPU.
        accelerator_type: the accelerator that the node must have; empty for any.
    """

    on_gpu: bool
    accelerator_type: str

    def options(self, node: Node) -> dict[str, Any]:
        """Return the options of a Ray task."""
        found: dict[str, Any] = {"num_cpus": node.cpus, "num_gpus": node.gpus if self.on_gpu else 0}
        if self.accelerator_type:
            found["accelerator_type"] = self.accelerator_type
        return found

    def bundle(self, node: Node) -> dict[str, float]:
        """Return the bundle of a placement group."""
        found = {"CPU": float(node.cpus)}
        if self.on_gpu:
            found["GPU"] = float(node.gpus)
        if self.accelerator_type:  # a task takes a thousandth of it
            found[f"accelerator_type:{self.accelerator_type}"] = 0.001
        return found


class RayGroup:
    """The nodes of one ranking: the first one, and those that share its trials."""

    def __init__(self, nodes: Sequence[Node], resources: Resources, manifest: Manifest) -> None:
        """Create a group, which the first node leads; `start` reserves the nodes."""
        self._nodes = nodes
        self._resources = resources
        self._manifest = manifest
        self._reserved: PlacementGroup | None = None
        self._stream: Any = None
        self._others: list[_RayNode] = []
        self._watches: dict[Any, Node] = {}

    def start(self, trials: Sequence[Trial]) -> None:
        """Reserve all nodes or none, and start the agent of the first one once they are free."""
        if len(self._nodes) > 1:
            self._reserved = placement_group(
                [self._resources.bundle(node) for node in self._nodes],
                strategy="STRICT_SPREAD",
                bundle_label_selector=[{_NODE_LABEL: node.key} for node in self._nodes],
            )
        for index, node in enumerate(self._nodes[1:], start=1):
            actor = ray.remote(**self._options(index))(_NodeActor).remote(self._order(node))
            self._others.append(_RayNode(node.name, actor))
            self._watches[actor.watch.remote()] = node
        options = {"num_returns": "streaming", "max_retries": 0, **self._options(0)}
        agent = ray.remote(**options)(work)
        self._stream = agent.remote(self._order(self._nodes[0]), list(trials), self._others)

    def messages(self) -> Iterator[Message]:
        """Yield the messages of the first node as they come.

        Raises:
            LostNodeError: a node was lost before the trials ended.
        """
        if not ray.wait([self._stream], timeout=_PATIENCE_SECONDS)[0]:
            yield Progress("busy: waiting until its CPUs are free")
        try:
            for reference in self._references():
                yield ray.get(reference)
        except RayError as error:
            lost = self._lost_other()
            raise LostNodeError(sentence(error), is_alive(self._nodes[0]), lost) from error

    def end(self) -> None:
        """Kill what runs and release the nodes."""
        if self._stream is not None:
            ray.cancel(self._stream, force=True)
        for other in self._others:
            ray.kill(other.actor)
        if self._reserved is not None:
            remove_placement_group(self._reserved)

    def _references(self) -> Iterator[Any]:
        """References to the messages. Looks after nodes that Ray would wait for without an end."""
        first = self._nodes[0]
        while True:
            ready, _ = ray.wait([self._stream, *self._watches], timeout=_ALIVE_SECONDS)
            for watch, node in self._watches.items():
                if watch in ready or not is_alive(node):
                    raise LostNodeError(_failure(watch), is_alive(first), node)
            # Ray itself reports the end of a task that has started.
            if not ready and not is_alive(first):
                raise LostNodeError(_NOT_ALIVE, is_alive=False)
            if ready:
                try:
                    reference = next(self._stream)
                except StopIteration:
                    self._stream = None
                    return
                yield reference

    def _lost_other(self) -> Node | None:
        """The other node that is gone, if the first one failed because it could not reach it."""
        if not self._watches:
            return None
        ready, _ = ray.wait(list(self._watches), timeout=_BLAME_SECONDS)
        return self._watches[ready[0]] if ready else None

    def _order(self, node: Node) -> Order:
        return Order(manifest=self._manifest, cpus=node.cpus, address=node.address)

    def _options(self, index: int) -> dict[str, Any]:
        """The options of the task or actor on a node: its resources, and the node."""
        node = self._nodes[index]
        if self._reserved is None:
            strategy: Any = on_node(node)
        else:
            strategy = PlacementGroupSchedulingStrategy(self._reserved, index)
        return {**self._resources.options(node), "scheduling_strategy": strategy}


class _NodeActor:
    """A node that shares trials, as an actor that the agent of the first node calls."""

    def __init__(self, order: Order) -> None:
        self._workers = node_workers(order)

    async def watch(self) -> None:
        """Never return: a caller that waits for this call learns of the node's end."""
        await asyncio.Event().wait()

    async def prepare(self, processes: int) -> list[str]:
        return self._workers.prepare(processes)

    async def run(self, task: Task, launch: Launch, timeout: float) -> NodeResult:
        return await asyncio.to_thread(self._workers.run, task, launch, timeout)

    async def stop(self) -> None:
        self._workers.stop()


class _RayNode(NamedTuple):
    """See `bench.cluster.node_group.OtherNode`: calls the actor."""

    name: str
    actor: Any

    def prepare(self, processes: int) -> list[str]:
        addresses: list[str] = ray.get(self.actor.prepare.remote(processes))
        return addresses

    def run(self, task: Task, launch: Launch, timeout: float) -> NodeResult:
        result: NodeResult = ray.get(self.actor.run.remote(task, launch, timeout))
        return result

    def stop(self) -> None:
        ray.get(self.actor.stop.remote())


def on_node(node: Node) -> NodeAffinitySchedulingStrategy:
    """Return the strategy that runs a task on this node and no other."""
    return NodeAffinitySchedulingStrategy(node.key, soft=False)


def is_alive(node: Node) -> bool:
    """Return whether Ray considers the node alive."""
    return any(each["NodeID"] == node.key and each["Alive"] for each in ray.nodes())


def sentence(error: RayError) -> str:
    """Return an error of Ray in one line."""
    if isinstance(error, RayTaskError) and error.cause is not None:
        return f"{type(error.cause).__name__}: {error.cause}"
    lines: Mapping[str, None] = dict.fromkeys(str(error).split("\n"))
    return " ".join(" ".join(lines).split())[:300]


def _failure(watch: Any) -> str:
    """Why a watch ended, which never ends while its node is well."""
    try:
        ray.get(watch, timeout=0)
    except GetTimeoutError:
        return _NOT_ALIVE
    except RayError as error:
        return sentence(error)
    return "it ended"
