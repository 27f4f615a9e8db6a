"""What --cluster means for `bench run`: the nodes that measure, instead of this machine."""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import click
from rich.console import Console

from bench.cache import cache_folder
from bench.cluster.connect import Cluster, connect, question_of
from bench.machine.other_runs import presence
from bench.records.manifest import ClusterChoice, NodesChoice
from bench.records.reader import read_run
from bench.run.prepare import Choices, Request
from bench.run.resume import Left, prepare_again, what_is_left


def nodes_for(
    request: Request,
    address: str | None,
    nodes: NodesChoice,
    accelerator_type: str,
    messages: Console,
) -> Cluster | None:
    """The nodes that were asked for; None where it is this machine.

    Raises:
        bench.errors.ClusterError: the cluster is of no use.
        click.UsageError: nodes are chosen of no cluster.
    """
    if address is None:
        if any(count > 1 for each in request.choices for count in each.hosts):
            raise click.UsageError(
                "received --hosts of more than 1 without --cluster, expected them with it"
            )
        if nodes != "any" or accelerator_type:
            raise click.UsageError(
                "received --nodes or --accelerator-type without --cluster, expected them with it"
            )
        return None
    typed = [count for each in request.choices for count in each.threads]
    choice = ClusterChoice(
        nodes=nodes, accelerator_type=accelerator_type, threads=max(typed, default=None)
    )
    data_dir = str(request.data_dir.absolute()) if request.data_dir else ""
    return _told(connect(address, choice, question_of(request.choices, data_dir)), messages)


def resume_on(path: Path, address: str, messages: Console) -> tuple[Left, Cluster]:
    """What is left of a run, and the nodes to go on with it.

    Raises:
        ValueError: in one of the classes that speak of what the user gave.
    """
    run = read_run(path)
    manifest = run.manifest
    choices = Choices(
        backends=sorted({trial.backend for trial in manifest.plan}),
        devices=sorted({trial.device for trial in manifest.plan}),
    )
    choice = manifest.cluster or ClusterChoice(threads=manifest.threads)
    question = question_of([choices], manifest.data_dir or "")
    cluster = _told(connect(address, choice, question), messages)
    prepared = prepare_again(str(path), manifest, choice.threads, cluster.cpus)
    return what_is_left(run, prepared, cluster.why_again), cluster


def seen(cluster: Cluster | None) -> AbstractContextManager[None]:
    """Be seen by other runs of this machine, if it is the one that measures."""
    return nullcontext() if cluster else presence(cache_folder())


def _told(cluster: Cluster, messages: Console) -> Cluster:
    for line in cluster.left_out:
        messages.print(line)
    return cluster
