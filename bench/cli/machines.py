"""Where `bench run` measures: this machine, or with --cluster the nodes of a Ray cluster."""

from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from bench.cluster.connect import Cluster, connect, question_of
from bench.records.manifest import ClusterChoice, NodesChoice
from bench.records.reader import read_run
from bench.run.decode import OptionError
from bench.run.executor import LocalExecutor
from bench.run.interrupts import Interrupts
from bench.run.request import MatrixOptions, Request
from bench.run.session import Machines
from bench.run.this_machine import ThisMachine


class Where(NamedTuple):
    """The options that choose the machines.

    Attributes:
        cluster: address of a Ray cluster; None is this machine.
        nodes: whether the nodes share the plan, or each kind of machine does all of it.
        accelerator_type: only nodes with this accelerator, by Ray's name; empty is all.
    """

    cluster: str | None = None
    nodes: NodesChoice = "any"
    accelerator_type: str = ""


def machines_for(
    request: Request, where: Where, interrupts: Interrupts, messages: Console
) -> Machines:
    """Return the machines that measure a new run.

    Args:
        request: what the user requested.
        where: the options that choose the machines.
        interrupts: what ends the run before its time.
        messages: where nodes that cannot be used are named.

    Raises:
        bench.errors.ClusterError: the cluster cannot be reached or has no suitable node.
        bench.run.decode.OptionError: an option needs --cluster, or cannot be combined with it.
    """
    if where.cluster is None:
        _check_no_cluster_options(request, where)
        return ThisMachine(LocalExecutor(interrupts))
    typed = [count for each in request.matrices for count in each.threads]
    choice = ClusterChoice(
        nodes=where.nodes,
        accelerator_type=where.accelerator_type,
        threads=max(typed, default=None),
    )
    data_dir = str(request.options.data_dir.absolute()) if request.options.data_dir else ""
    return _connected(where.cluster, choice, request.matrices, data_dir, messages)


def machines_to_resume(
    folder: Path, cluster: str | None, interrupts: Interrupts, messages: Console
) -> Machines:
    """Return the machines that measure what is left of a run.

    Args:
        folder: of the run.
        cluster: address of a Ray cluster; None is this machine.
        interrupts: what ends the run before its time.
        messages: where nodes that cannot be used are named.

    Raises:
        bench.errors.UserError: there is no run, or the cluster has no suitable node.
    """
    if cluster is None:
        return ThisMachine(LocalExecutor(interrupts))
    manifest = read_run(folder).manifest
    matrix = MatrixOptions(
        backends=sorted({trial.job.backend for trial in manifest.plan}),
        devices=sorted({trial.job.device for trial in manifest.plan}),
    )
    choice = manifest.cluster or ClusterChoice(threads=manifest.threads)
    return _connected(cluster, choice, [matrix], manifest.data_dir or "", messages)


def _check_no_cluster_options(request: Request, where: Where) -> None:
    needing = {
        "hosts": any(count > 1 for each in request.matrices for count in each.hosts),
        "nodes": where.nodes != "any",
        "accelerator_type": bool(where.accelerator_type),
    }
    for option, is_used in needing.items():
        if is_used:
            raise OptionError(option, "needs --cluster")


def _connected(
    address: str,
    choice: ClusterChoice,
    matrices: list[MatrixOptions],
    data_dir: str,
    messages: Console,
) -> Cluster:
    cluster = connect(address, choice, question_of(matrices, data_dir))
    for line in cluster.left_out:
        messages.print(line)
    return cluster
