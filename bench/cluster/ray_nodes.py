"""The nodes of a Ray cluster. The only file that imports Ray.

Ray starts an agent on a node and carries messages; it measures nothing. An agent asks for all of
its node's CPUs, and GPUs where its trials need them, so that nothing else of Ray's runs beside it.
"""

import asyncio
import logging
import os
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import ray
from ray.exceptions import GetTimeoutError, RayError, RayTaskError
from ray.util.placement_group import PlacementGroup, placement_group, remove_placement_group
from ray.util.scheduling_strategies import (
    NodeAffinitySchedulingStrategy,
    PlacementGroupSchedulingStrategy,
)

import backends
import bench
from bench.cluster.agent import follower, look, work
from bench.cluster.driver import LostNodeError
from bench.cluster.gang import Followed
from bench.cluster.lanes import Node
from bench.cluster.messages import Look, Message, Order, Question, Told
from bench.errors import ClusterError
from bench.records.manifest import Manifest
from bench.run.launch import Launch
from bench.spec.job import Trial
from bench.worker.protocol import FollowTask

_CONNECT_SECONDS = 10.0
_LOOK_SECONDS = 120.0  # a node unpacks the code and imports it, from a cold disk at worst
_BLAME_SECONDS = 5.0  # for Ray to tell of a dead node what another one saw
_ALIVE_SECONDS = 10.0  # how often nodes that tell nothing are looked after
_PATIENCE_SECONDS = 10.0  # after which a node that is busy is said to be
_NODE_LABEL = "ray.io/node-id"  # which Ray gives every node
_NOT_ALIVE = "it is not alive"
_CURRENT = Path("/tmp/ray/ray_current_cluster")  # noqa: S108 - where Ray writes what `auto` means


class RayNodes:
    """The machines of a Ray cluster, and a task on each that works."""

    def __init__(self, address: str, accelerator_type: str = "") -> None:
        """Connect.

        Args:
            address: `auto` or host:port.
            accelerator_type: only nodes that have it; empty is all.

        Raises:
            ClusterError: the cluster does not answer, or is of another version.
        """
        self._accelerator_type = accelerator_type
        self._gangs: dict[str, _Gang] = {}
        self._lock = threading.Lock()
        self._manifest: Manifest | None = None
        _connect(address)

    def found(self) -> list[Node]:
        """The nodes that are alive and lend CPUs, in order of their names.

        Raises:
            ClusterError: there are none.
        """
        alive = [each for each in ray.nodes() if each["Alive"] and each["Resources"].get("CPU")]
        wanted = f"accelerator_type:{self._accelerator_type}"
        fitting = [
            each for each in alive if not self._accelerator_type or wanted in each["Resources"]
        ]
        if not fitting:
            raise ClusterError(
                f"received a cluster of {len(alive)} nodes with CPUs"
                + (f", none of them with {wanted}" if alive else "")
                + ", expected at least one that fits"
            )
        hosts = [each["NodeManagerHostname"] for each in fitting]
        made = [
            Node(
                key=each["NodeID"],
                name=host if hosts.count(host) == 1 else f"{host}/{each['NodeID'][:6]}",
                cpus=int(each["Resources"]["CPU"]),
                gpus=int(each["Resources"].get("GPU", 0)),
                address=each["NodeManagerAddress"],
            )
            for each, host in zip(fitting, hosts, strict=True)
        ]
        return sorted(made, key=lambda node: node.name)

    def looks(self, nodes: Sequence[Node], question: Question) -> dict[str, Look | str]:
        """What each node answers, by its key; a sentence of one that does not.

        A question takes none of the node's CPUs: it is answered while another run measures there.
        """
        remote = ray.remote(num_cpus=0, max_retries=0)(look)
        asked = {
            node.key: remote.options(scheduling_strategy=_on(node)).remote(question)
            for node in nodes
        }
        return {key: _answer(reference) for key, reference in asked.items()}

    def give(self, manifest: Manifest) -> None:
        """What the nodes are told of the run, before any of them runs a trial."""
        self._manifest = manifest

    def run(
        self, node: Node, trials: Sequence[Trial], helpers: Sequence[Node]
    ) -> Iterator[Message]:
        """See `bench.cluster.driver.Nodes`.

        The nodes are held for these trials alone, and all of them at once: while a run waits for a
        node it holds no other, so that two runs cannot wait for each other.
        """
        gang = _Gang(node, helpers, self._needs(trials), self._manifest_given())
        try:
            with self._lock:
                told = gang.start(trials)
                self._gangs[node.key] = gang
            if not ray.wait([told], timeout=_PATIENCE_SECONDS)[0]:
                yield Told("busy: waiting until its CPUs are free")
            for reference in gang.heard():
                yield ray.get(reference)
        except _GoneError as error:
            self._end(node.key)
            helper = error.node if error.node != node else None
            raise LostNodeError(str(error), _is_alive(node), helper) from error
        except RayError as error:
            helper = gang.lost_helper()
            self._end(node.key)  # one that cannot be reached would keep its node's CPUs
            raise LostNodeError(_sentence(error), _is_alive(node), helper) from error
        self._end(node.key)

    def stop(self) -> None:
        """Kill what runs the trials: the kernel ends their workers with it."""
        for key in list(self._gangs):
            self._end(key)

    def _manifest_given(self) -> Manifest:
        if self._manifest is None:
            raise RuntimeError("a manifest is given before any trial runs")
        return self._manifest

    def _needs(self, trials: Sequence[Trial]) -> "_Needs":
        on_gpu = any(trial.job.device.startswith("gpu") for trial in trials)
        return _Needs(on_gpu, self._accelerator_type)

    def _end(self, key: str) -> None:
        with self._lock:
            gang = self._gangs.pop(key, None)
            if gang is not None:
                gang.end()


class _Needs(NamedTuple):
    """What trials ask of a node: all of its CPUs, and of its GPUs where they train on them."""

    on_gpu: bool
    accelerator_type: str

    def options(self, node: Node) -> dict[str, Any]:
        """As a task states it."""
        found: dict[str, Any] = {"num_cpus": node.cpus, "num_gpus": node.gpus if self.on_gpu else 0}
        if self.accelerator_type:
            found["accelerator_type"] = self.accelerator_type
        return found

    def bundle(self, node: Node) -> dict[str, float]:
        """As a placement group states it."""
        found = {"CPU": float(node.cpus)}
        if self.on_gpu:
            found["GPU"] = float(node.gpus)
        if self.accelerator_type:  # of which a task takes a thousandth
            found[f"accelerator_type:{self.accelerator_type}"] = 0.001
        return found


class _GoneError(Exception):
    """A node is not there any more, and Ray waits on."""

    def __init__(self, reason: str, node: Node) -> None:
        super().__init__(reason)
        self.node = node


class _Gang:
    """The nodes that do the trials of a ranking: one that leads, and those that share them."""

    def __init__(
        self, node: Node, helpers: Sequence[Node], needs: _Needs, manifest: Manifest
    ) -> None:
        self._nodes = [node, *helpers]
        self._needs = needs
        self._manifest = manifest
        self._group: PlacementGroup | None = None
        self._told: Any = None
        self._helpers: list[Any] = []
        self._watches: dict[Any, Node] = {}

    def start(self, trials: Sequence[Trial]) -> Any:
        """Ask for the nodes, all or none of them; what the leading one will tell."""
        if len(self._nodes) > 1:
            self._group = placement_group(
                [self._needs.bundle(node) for node in self._nodes],
                bundle_label_selector=[{_NODE_LABEL: node.key} for node in self._nodes],
            )
        for index, node in enumerate(self._nodes[1:], start=1):
            made = ray.remote(**self._on(index))(_RemoteFollower)
            handle = made.remote(self._order(node))
            self._helpers.append(_RayHelper(node.name, handle))
            self._watches[handle.watch.remote()] = node
        options = {"num_returns": "streaming", "max_retries": 0, **self._on(0)}
        remote = ray.remote(**options)(work)
        self._told = remote.remote(self._order(self._nodes[0]), list(trials), self._helpers)
        return self._told

    def heard(self) -> Iterator[Any]:
        """References to what the leading node tells, as it comes.

        Raises:
            _GoneError: a node that shares the trials is lost, or one that is still waited for.
        """
        while True:
            ready, _ = ray.wait([self._told, *self._watches], timeout=_ALIVE_SECONDS)
            for watch, node in self._watches.items():
                if watch in ready or not _is_alive(node):
                    raise _GoneError(_failure(watch), node)
            # Of one that has begun Ray tells the end itself.
            if not ready and not _is_alive(self._nodes[0]):
                raise _GoneError(_NOT_ALIVE, self._nodes[0])
            if ready:
                try:
                    reference = next(self._told)
                except StopIteration:
                    self._told = None
                    return
                yield reference

    def lost_helper(self) -> Node | None:
        """The node that the leading one failed for, since it could not call it any more."""
        if not self._watches:
            return None
        ready, _ = ray.wait(list(self._watches), timeout=_BLAME_SECONDS)
        return self._watches[ready[0]] if ready else None

    def end(self) -> None:
        """Kill what runs, and give the nodes back."""
        if self._told is not None:
            ray.cancel(self._told, force=True)
        for helper in self._helpers:
            ray.kill(helper.handle)
        if self._group is not None:
            remove_placement_group(self._group)

    def _order(self, node: Node) -> Order:
        return Order(manifest=self._manifest, cpus=node.cpus, address=node.address)

    def _on(self, index: int) -> dict[str, Any]:
        """What is asked of the node there, and that it is this one."""
        node = self._nodes[index]
        if self._group is None:
            strategy: Any = _on(node)
        else:
            strategy = PlacementGroupSchedulingStrategy(self._group, index)
        return {**self._needs.options(node), "scheduling_strategy": strategy}


class _RemoteFollower:
    """A node that shares trials, as an actor: it is called by the one that leads."""

    def __init__(self, order: Order) -> None:
        self._own = follower(order)

    async def watch(self) -> None:
        """Never returns: who waits for it sees the node's end."""
        await asyncio.Event().wait()

    async def reserve(self) -> str:
        return self._own.reserve()

    async def begin(self, task: FollowTask, launch: Launch, timeout: float) -> None:
        self._own.begin(task, launch, timeout)

    async def end(self) -> Followed:
        return await asyncio.to_thread(self._own.end)


class _RayHelper(NamedTuple):
    """See `bench.cluster.gang.Helper`: calls the actor."""

    name: str
    handle: Any

    def reserve(self) -> str:
        address: str = ray.get(self.handle.reserve.remote())
        return address

    def begin(self, task: FollowTask, launch: Launch, timeout: float) -> None:
        ray.get(self.handle.begin.remote(task, launch, timeout))

    def end(self) -> Followed:
        followed: Followed = ray.get(self.handle.end.remote())
        return followed


def _failure(watch: Any) -> str:
    """Why the node's part is over, which should never end."""
    try:
        ray.get(watch, timeout=0)
    except GetTimeoutError:
        return _NOT_ALIVE
    except RayError as error:
        return _sentence(error)
    return "it ended"


def _connect(address: str) -> None:
    _check_listens(address)
    # What Ray's own processes print would stand among this command's results.
    logging.getLogger("ray").setLevel(logging.CRITICAL)
    packages = [str(Path(str(each.__file__)).parent) for each in (bench, backends)]
    try:
        ray.init(
            address=address,
            log_to_driver=False,
            logging_level=logging.CRITICAL,
            runtime_env={"py_modules": packages},
        )
    except (ConnectionError, RuntimeError, ValueError, TimeoutError, RayError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ClusterError(
            f"received --cluster {address}, which does not serve this Ray "
            f"{ray.__version__}: {' '.join(str(error).split()) or first}"
        ) from error


def _check_listens(address: str) -> None:
    """See within seconds that something listens: Ray itself would wait for minutes."""
    if address == "auto":
        address = os.environ.get("RAY_ADDRESS", "") or _current()
    host, _, port = address.rpartition(":")
    if not host or "/" in address or not port.isdigit():
        raise ClusterError(
            f"received --cluster {address}, expected auto or host:port of a cluster that this "
            "machine is a node of (ray start --address=host:port)"
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise ClusterError(
            f"received --cluster {address}, where nothing answers ({error}); expected the address "
            "that `ray start --head` printed"
        ) from error


def _current() -> str:
    try:
        return _CURRENT.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        raise ClusterError(
            "received --cluster auto, and no cluster runs on this machine: start one with `ray "
            "start --head`, join one with `ray start --address=host:port`, or name its address"
        ) from None


def _on(node: Node) -> NodeAffinitySchedulingStrategy:
    return NodeAffinitySchedulingStrategy(node.key, soft=False)


def _answer(reference: Any) -> Look | str:
    try:
        found: Look = ray.get(reference, timeout=_LOOK_SECONDS)
    except GetTimeoutError:
        return f"did not answer within {_LOOK_SECONDS:g} s"
    except RayError as error:
        return _sentence(error)
    return found.refusal or found


def _is_alive(node: Node) -> bool:
    return any(each["NodeID"] == node.key and each["Alive"] for each in ray.nodes())


def _sentence(error: RayError) -> str:
    """What Ray says of it, in a line."""
    if isinstance(error, RayTaskError) and error.cause is not None:
        return f"{type(error.cause).__name__}: {error.cause}"
    lines: Mapping[str, None] = dict.fromkeys(str(error).split("\n"))
    return " ".join(" ".join(lines).split())[:300]
