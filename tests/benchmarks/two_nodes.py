"""Run `bench run` on a Ray cluster of two nodes on this machine, each with its own CPU.

    PYTHONPATH=tests python -m benchmarks.two_nodes examples/several-hosts.toml [OPTIONS]

What is typed is handed to `bench run` with the cluster's address. The nodes exchange over the
loopback interface: this shows what a framework's exchange costs, and nothing of a real network.
"""

import os
import subprocess
import sys

NODES = 2


def main(arguments):
    """Run the command and return its exit status."""
    os.environ.setdefault("RAY_worker_niceness", "0")  # Ray's own is 15, which trials inherit
    from ray.cluster_utils import Cluster

    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False}
    )
    usable = sorted(os.sched_getaffinity(0))
    try:
        for cpu in usable[:NODES]:
            os.sched_setaffinity(0, {cpu})  # Ray's processes, and their workers, inherit it
            cluster.add_node(num_cpus=1)
        os.sched_setaffinity(0, usable)
        command = [sys.executable, "-m", "bench", "run", *arguments, "--cluster", cluster.address]
        return subprocess.run(command, check=False).returncode
    finally:
        cluster.shutdown()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
