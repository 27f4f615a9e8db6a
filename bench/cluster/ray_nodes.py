"""The nodes of a Ray cluster. The only file that imports Ray.

Ray places an agent on a node and carries messages; it measures nothing. An agent asks for all of
its node's CPUs, and GPUs where the run needs them, so that nothing else of Ray's runs beside it.
"""

import logging
import os
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import ray
from ray.exceptions import GetTimeoutError, RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

import backends
import bench
import reports
from bench.cluster.agent import Agent, look
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
    """The machines of a Ray cluster, with an agent each once they work."""

    def __init__(self, address: str, accelerator_type: str = "") -> None:
        """Connect.

        Args:
            address: `auto` or host:port.
            accelerator_type: only nodes that have it; empty is all.

        Raises:
            ClusterError: the cluster does not answer, or is of another version.
        """
        self._accelerator_type = accelerator_type
        self._agents: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._order: Order | None = None
        self._takes_gpus = False
        _connect(address)

    def close(self) -> None:
        """Leave the cluster; agents end."""
        ray.shutdown()

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
        """What the agents are told of the run, before any of them runs a trial."""
        self._order = Order(manifest=msgspec.json.encode(manifest))
        self._takes_gpus = any(trial.device.startswith("gpu") for trial in manifest.plan)

    def run(self, node: Node, trials: Sequence[Trial]) -> Iterator[Message]:
        """See `bench.cluster.crew.Nodes`."""
        try:
            agent = self._agents.get(node.key)
            if agent is None:
                agent = self._start(node)
                yield from _waited_for(agent)
            told = agent.run.options(num_returns="streaming").remote(list(trials))
            for reference in told:
                yield ray.get(reference)
        except RayError as error:
            self._give_up(node)
            raise LostNodeError(_sentence(error), _is_alive(node)) from error

    def stop(self) -> None:
        """Kill every agent: the kernel ends its worker with it."""
        with self._lock:
            for agent in self._agents.values():
                ray.kill(agent)
            self._agents.clear()

    def _give_up(self, node: Node) -> None:
        """End an agent that cannot be reached: it would keep its node's CPUs."""
        with self._lock:
            agent = self._agents.pop(node.key, None)
            if agent is not None:
                ray.kill(agent)

    def _start(self, node: Node) -> Any:
        if self._order is None:
            raise RuntimeError("an order is given before any trial runs")
        order = msgspec.structs.replace(self._order, cpus=node.cpus)
        more = {"accelerator_type": self._accelerator_type} if self._accelerator_type else {}
        options = ray.remote(
            num_cpus=node.cpus,
            num_gpus=node.gpus if self._takes_gpus else 0,
            max_restarts=0,
            max_task_retries=0,
            scheduling_strategy=_on(node),
            **more,
        )
        with self._lock:
            self._agents[node.key] = agent = options(Agent).remote(order)
        return agent


def _connect(address: str) -> None:
    _check_listens(address)
    # What Ray's own processes print would stand among this command's results.
    logging.getLogger("ray").setLevel(logging.CRITICAL)
    packages = [str(Path(str(each.__file__)).parent) for each in (bench, backends, reports)]
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


def _waited_for(agent: Any) -> Iterator[Message]:
    """Wait until the node's CPUs are the agent's; another run may have them now."""
    ready = agent.ready.remote()
    done, _ = ray.wait([ready], timeout=_PATIENCE_SECONDS)
    if not done:
        yield Told("busy: waiting until its CPUs are free")
    ray.get(ready)


def _is_alive(node: Node) -> bool:
    return any(each["NodeID"] == node.key and each["Alive"] for each in ray.nodes())


def _sentence(error: RayError) -> str:
    """What Ray says of it, in a line."""
    if isinstance(error, RayTaskError) and error.cause is not None:
        return f"{type(error.cause).__name__}: {error.cause}"
    lines: Mapping[str, None] = dict.fromkeys(str(error).split("\n"))
    return " ".join(" ".join(lines).split())[:300]
