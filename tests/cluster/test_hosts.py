"""Trials that several nodes of a cluster share, and the loss of one of these nodes."""

import re
import time

import psutil
import pytest
from support.command_line import finished, records, wait_for_output
from support.processes import started_here

from backends.registry import installed_version, recipes
from bench.records.reader import read_run

TWO = ["--world-size", "2", "--hosts", "2", "--threads", "1", "--retries", "0"]
SHARED = ["--backends", "fake", "--modes", "steady", *TWO]


FILE = """
[run]
data_dir = "set"
epochs = 1
repeats = 2
verify = false

[matrix]
backends = ["fake"]
models = ["model.py:quick"]
batch_sizes = [16]
threads = [1]

[[include]]
world_size = [2]
hosts = [2]
"""


def test_two_nodes_share_some_trials_and_one_node_runs_the_others(command, nodes, out):
    (command.folder / "hosts.toml").write_text(FILE)
    done = command.run("run", "hosts.toml", "--cluster", nodes.address, "--output", out)
    assert done.returncode == 0, done.stderr
    made = read_run(out).trials
    assert {trial.outcome for trial in made} == {"ok"}
    shared = [trial for trial in made if trial.job.hosts == 2]
    alone = [trial for trial in made if trial.job.hosts == 1]
    assert len(shared) == len(alone) == 2
    assert {trial.job.world_size for trial in shared} == {2}
    assert all(len(trial.other_machines) == 1 for trial in shared)
    assert all(trial.other_machines == [] for trial in alone)
    page = (out / "report.html").read_text()
    assert "world size 2, on 2 machines" in page


def test_a_node_that_dies_while_it_shares_a_trial_is_replaced(command, nodes, start, out):
    process = start(*SHARED, "--epochs", "40", "--repeats", "2")
    (first,) = wait_for_output(process, r"^(\S+): .*repeat 1: starting")
    other = other_node_at_work(command, nodes, first.partition("/")[2])
    try:
        nodes.kill(other)
        done = finished(process)
        assert done.returncode == 0, done.stderr
        assert re.search(rf"/{other.node_id[:6]}: lost: ", done.stderr)
        # The trial ran, or was about to run again because the first node noticed the loss.
        assert re.search("goes (on with|to) another node", done.stderr)
        assert [each["outcome"] for each in records(out)] == ["ok"] * 2
    finally:
        while len(nodes.workers) < 3:
            nodes.add()


def other_node_at_work(command, nodes, first):
    """Wait for a worker on another node, and return that node."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        working = nodes_at_work(command)
        for node in nodes.workers:
            if node.node_id in working and not node.node_id.startswith(first):
                return node
        time.sleep(0.2)
    raise AssertionError("no second node came to have a worker")


def nodes_at_work(command):
    """Return the identifiers of nodes with a worker: Ray's own process is its grandparent."""
    found = set()
    for line in started_here(command.folder):
        if "bench.worker" in line:
            raylet = psutil.Process(int(line.split()[0])).parent().parent()
            named = [word for word in raylet.cmdline() if word.startswith("--node_id=")]
            found.add(named[0].partition("=")[2])
    return found


def test_more_hosts_than_nodes_are_rejected(command, nodes, out):
    options = ["--backends", "fake", "--world-size", "9", "--hosts", "9", "--batch-sizes", "18"]
    cluster = ["--cluster", nodes.address, "--output", out]
    done = command.run("run", *command.quick, *options, *cluster)
    assert done.returncode == 2
    assert "the cluster does not have 9 nodes of one kind that lend device cpu" in done.stderr
    assert not out.exists()


@pytest.mark.parametrize(
    ("backend", "mode"), [("torch", "eager"), ("tensorflow", "graph"), ("jax", "jit")]
)
def test_a_framework_computes_the_same_results_on_two_nodes(command, nodes, out, backend, mode):
    if not installed_version(recipes()[backend]):
        pytest.skip(f"{backend} is not installed")
    quick = [option for option in command.quick if option != "--no-verify"]
    options = [*quick, "--backends", backend, "--modes", mode, "--repeats", "1", *TWO]
    done = command.run("run", *options, "--cluster", nodes.address, "--output", out)
    assert done.returncode == 0, done.stderr
    run = read_run(out)
    (record,) = run.trials
    assert (record.outcome, record.equivalence) == ("ok", "passed")
    (certificate,) = run.certificates
    assert (certificate.job.world_size, certificate.job.hosts) == (2, 2)
