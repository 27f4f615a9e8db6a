"""The nodes of a Ray cluster. Only this module and `ray_group` import Ray.

Ray starts an agent on a node and carries messages; it measures nothing. An agent reserves all CPUs
of its node, and its GPUs if the trials need them, so that Ray runs nothing else there.
"""

import logging
import os
import socket
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayError

import backends
import bench
from bench.cluster.agent import answer
from bench.cluster.lanes import Node
from bench.cluster.messages import Answer, Message, Question
from bench.cluster.ray_group import RayGroup, Resources, on_node, sentence
from bench.errors import ClusterError
from bench.records.manifest import Manifest
from bench.spec.job import Trial

_CONNECT_SECONDS = 10.0
_ANSWER_SECONDS = 120.0  # a node unpacks the code and imports it, perhaps from a slow disk
_CURRENT = Path("/tmp/ray/ray_current_cluster")  # noqa: S108 - where Ray writes what `auto` means


class RayNodes:
    """The machines of a Ray cluster, and the trials that run on them."""

    def __init__(self, address: str, accelerator_type: str = "") -> None:
        """Connect to the cluster.

        Args:
            address: `auto` or host:port.
            accelerator_type: use only nodes that have it; empty for all.

        Raises:
            ClusterError: the cluster does not answer, or it runs another version.
        """
        self._accelerator_type = accelerator_type
        self._groups: dict[str, RayGroup] = {}
        self._lock = threading.Lock()
        self._manifest: Manifest | None = None
        _connect(address)

    def found(self) -> list[Node]:
        """Return the nodes that are alive and lend CPUs, sorted by name.

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
                f"the cluster has {len(alive)} nodes with CPUs"
                + (f", none of them with {wanted}" if alive else "")
                + "; start a node that fits"
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

    def answers(self, nodes: Sequence[Node], question: Question) -> dict[str, Answer | str]:
        """Ask every node; return its answer by its key, or a sentence if it cannot take part.

        A question reserves no CPU, so that a node answers while another run measures there.
        """
        remote = ray.remote(num_cpus=0, max_retries=0)(answer)
        references = {
            node.key: remote.options(scheduling_strategy=on_node(node)).remote(question)
            for node in nodes
        }
        return {key: _answer(reference) for key, reference in references.items()}

    def give(self, manifest: Manifest) -> None:
        """Set the manifest that the nodes receive; call it before any trial runs."""
        self._manifest = manifest

    def run(self, node: Node, trials: Sequence[Trial], others: Sequence[Node]) -> Iterator[Message]:
        """See `bench.cluster.driver.Nodes`.

        The nodes are reserved for these trials alone, and all of them at once: a run that waits
        for a node reserves no other, so that two runs cannot wait for each other.
        """
        group = RayGroup([node, *others], self._resources(trials), self._manifest_given())
        try:
            with self._lock:
                group.start(trials)
                self._groups[node.key] = group
            yield from group.messages()
        finally:
            self._end(node.key)  # an agent that cannot be reached would keep its node's CPUs

    def stop(self) -> None:
        """Kill the agents; the kernel kills their workers with them."""
        for key in list(self._groups):
            self._end(key)

    def _manifest_given(self) -> Manifest:
        if self._manifest is None:
            raise RuntimeError("a manifest is given before any trial runs")
        return self._manifest

    def _resources(self, trials: Sequence[Trial]) -> Resources:
        on_gpu = any(trial.job.device.startswith("gpu") for trial in trials)
        return Resources(on_gpu, self._accelerator_type)

    def _end(self, key: str) -> None:
        with self._lock:
            group = self._groups.pop(key, None)
            if group is not None:
                group.end()


def _connect(address: str) -> None:
    _check_listens(address)
    # Ray's own messages would appear among this command's output.
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
            f"the cluster at --cluster {address} does not serve this Ray "
            f"{ray.__version__}: {' '.join(str(error).split()) or first}"
        ) from error


def _check_listens(address: str) -> None:
    """Check within seconds that something listens; Ray itself would wait for minutes."""
    if address == "auto":
        address = os.environ.get("RAY_ADDRESS", "") or _current()
    host, _, port = address.rpartition(":")
    if not host or "/" in address or not port.isdigit():
        raise ClusterError(
            f"--cluster {address} is not an address: use auto, or host:port of a cluster that this "
            "machine is a node of (ray start --address=host:port)"
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise ClusterError(
            f"nothing answers at --cluster {address} ({error}); use the address that "
            "`ray start --head` printed"
        ) from error


def _current() -> str:
    try:
        return _CURRENT.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        raise ClusterError(
            "--cluster auto finds no cluster on this machine: start one with `ray start --head`, "
            "join one with `ray start --address=host:port`, or name its address"
        ) from None


def _answer(reference: Any) -> Answer | str:
    try:
        found: Answer = ray.get(reference, timeout=_ANSWER_SECONDS)
    except GetTimeoutError:
        return f"did not answer within {_ANSWER_SECONDS:g} s"
    except RayError as error:
        return sentence(error)
    return found.refusal or found
