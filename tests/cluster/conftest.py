"""A real Ray cluster of several nodes on this machine, and commands that use it."""

import os

import psutil
import pytest
from support.command_line import CommandLine

WITHOUT_RAY = "needs Ray: pip install 'evenbench[ray]'"


class Nodes:
    """A cluster whose head has no CPU, and nodes with one CPU each.

    Attributes:
        address: for --cluster.
        workers: the nodes that run trials.
    """

    def __init__(self) -> None:
        cluster_utils = pytest.importorskip("ray.cluster_utils", reason=WITHOUT_RAY)
        self._cluster = cluster_utils.Cluster(
            initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False}
        )
        self.address = self._cluster.address
        self.workers = []

    def add(self, **options) -> None:
        self.workers.append(self._cluster.add_node(**{"num_cpus": 1, **options}))

    def kill(self, node) -> None:
        """Kill a node, as if its machine had lost power."""
        self.workers.remove(node)
        self._cluster.remove_node(node, allow_graceful=False)

    def silence(self, node) -> None:
        """Stop all processes of a node, as if the network to it were lost."""
        for process in psutil.process_iter(["name", "cmdline"]):
            named = f"--node_id={node.node_id}" in (process.info["cmdline"] or ())
            if named and process.info["name"] == "raylet":
                for each in (process, *process.children(recursive=True)):
                    each.suspend()

    def end(self) -> None:
        self._cluster.shutdown()


@pytest.fixture(scope="module")
def command(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cluster")
    return CommandLine(folder, folder / "cache")


@pytest.fixture(scope="module")
def nodes(command):
    """Three nodes for the tests of a module; they start with the command's cache and plugin."""
    before = dict(os.environ)
    os.environ.update(command.environment)
    os.environ.update(RAY_worker_niceness="0")  # as docs/cluster.md has it
    made = Nodes()
    try:
        for _ in range(3):
            made.add()
        yield made
    finally:
        made.end()
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture
def out(command, request):
    return command.folder / request.node.name


@pytest.fixture
def start(command, nodes, out):
    def begin(*options):
        cluster = ["--cluster", nodes.address, "--output", out]
        return command.start("run", *command.quick, *options, *cluster)

    return begin
