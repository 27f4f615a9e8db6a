"""The nodes of a Ray cluster. The only file that imports Ray.

Ray starts an agent on a node and carries messages; it measures nothing. An agent asks for all of
its node's CPUs, and GPUs where its trials need them, so that nothing else of Ray's runs beside it.
"""

import logging
import os
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

import backends
import bench
from bench.cluster.agent import look, work
from bench.cluster.crew import LostNodeError
from bench.cluster.errors import ClusterError
from bench.cluster.lanes import Node
from bench.cluster.messages import Look, Message, Order, Question, Told
from bench.plan import Trial
from bench.records import Manifest

_CONNECT_SECONDS = 10.0
_LOOK_SECONDS = 120.0  # a node unpacks the code and imports it, from a cold disk at worst
_PATIENCE_SECONDS = 10.0  # after which a node that is busy is said to be
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
        self._tasks: dict[str, Any] = {}
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

    def run(self, node: Node, trials: Sequence[Trial]) -> Iterator[Message]:
        """See `bench.cluster.crew.Nodes`.

        The node is held for these trials alone: while a run waits for a node it holds no other,
        so that two runs cannot wait for each other.
        """
        try:
            told = self._start(node, trials)
            if not ray.wait([told], timeout=_PATIENCE_SECONDS)[0]:
                yield Told("busy: waiting until its CPUs are free")
            for reference in told:
                yield ray.get(reference)
        except RayError as error:
            self._end(node.key)  # one that cannot be reached would keep its node's CPUs
            raise LostNodeError(_sentence(error), _is_alive(node)) from error
        with self._lock:
            self._tasks.pop(node.key, None)

    def stop(self) -> None:
        """Kill what runs the trials: the kernel ends their workers with it."""
        for key in list(self._tasks):
            self._end(key)

    def _start(self, node: Node, trials: Sequence[Trial]) -> Any:
        if self._manifest is None:
            raise RuntimeError("a manifest is given before any trial runs")
        takes_gpus = any(trial.job.device.startswith("gpu") for trial in trials)
        remote = ray.remote(
            num_cpus=node.cpus,
            num_gpus=node.gpus if takes_gpus else 0,
            num_returns="streaming",
            max_retries=0,
            scheduling_strategy=_on(node),
            **({"accelerator_type": self._accelerator_type} if self._accelerator_type else {}),
        )(work)
        with self._lock:
            task = remote.remote(Order(manifest=self._manifest, cpus=node.cpus), list(trials))
            self._tasks[node.key] = task
        return task

    def _end(self, key: str) -> None:
        with self._lock:
            task = self._tasks.pop(key, None)
            if task is not None:
                ray.cancel(task, force=True)


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
