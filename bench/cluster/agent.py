"""Run trials on a node of a cluster, as on a single machine, and report to the driver.

Imports no cluster library: any library can serve that calls these functions and carries messages.
"""

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from bench.cache import cache_folder
from bench.cluster.messages import (
    Answer,
    Arrived,
    Began,
    Certified,
    Checking,
    Disturbed,
    Ended,
    Message,
    Order,
    Progress,
    Question,
    Refused,
    WorkerReported,
)
from bench.cluster.node_group import NodeGroupExecutor, NodeWorkers, OtherNode
from bench.data.sources import find_source
from bench.errors import UserError
from bench.machine.disturbance import Watch
from bench.machine.environments.choice import choose_backends
from bench.machine.hardware import machine_name, usable_cpus
from bench.machine.other_runs import presence
from bench.records.trial import TrialRecord
from bench.run.examiner import certificates_in
from bench.run.executor import Executor
from bench.run.experiment import Experiment, planned_record
from bench.run.outcome import INTERRUPTED
from bench.run.preliminaries import preliminaries, with_results
from bench.run.prepare import Plan, recipes_of_run, remake_plan
from bench.run.runner import measure
from bench.run.validity import holding_of
from bench.spec.job import Job, Trial
from bench.worker.protocol import Event

Send = Callable[[Message], None]


def answer(question: Question) -> Answer:
    """Describe this node. Reads only a few files, so that it does not disturb a running trial."""
    refusal = ""
    found = {}
    try:
        chosen = choose_backends(question.backends, question.on_gpu)
        found = {recipe.name: recipe for recipe in chosen.recipes}
        if question.data_dir:
            find_source(Path(question.data_dir))
    except UserError as error:
        refusal = str(error)
    return Answer(holding_of(found), refusal)


def node_workers(order: Order) -> NodeWorkers:
    """Return this node's part in trials that another node leads.

    Raises:
        UserError: a backend of the run is not installed here, or the data set differs.
    """
    name = machine_name()
    recipes = recipes_of_run(name, order.manifest, lambda text: None)
    return NodeWorkers(name, order.address, recipes, usable_cpus()[: order.cpus])


def work(
    order: Order, trials: Sequence[Trial], others: Sequence[OtherNode] = ()
) -> Iterator[Message]:
    """Run the trials of one ranking on this node, in order, and report everything as it happens.

    Args:
        order: the run.
        trials: the trials of the ranking.
        others: the nodes that share each trial, if the trials have several hosts.
    """
    inbox: queue.SimpleQueue[Message | BaseException | None] = queue.SimpleQueue()

    def run_trials() -> None:
        try:
            with presence(cache_folder()):
                _run(order, trials, others, inbox.put)
        except UserError as error:
            inbox.put(Refused(str(error)))
        except BaseException as error:  # raised in the caller's thread, where the driver sees it
            inbox.put(error)
        finally:
            inbox.put(None)

    yield Arrived()
    # A daemon, so that this process can be ended without waiting for the trial.
    threading.Thread(target=run_trials, daemon=True).start()
    while (message := inbox.get()) is not None:
        if isinstance(message, BaseException):
            raise message
        yield message


def _run(order: Order, trials: Sequence[Trial], others: Sequence[OtherNode], send: Send) -> None:
    executor = NodeGroupExecutor(order.address, others)
    names = [node.name for node in others]
    experiment = _certified(_adapted(order, trials, send), order, executor, send)
    watch = Watch(len(trials), experiment.retries)
    for trial in trials:
        send(Began(trial, _shared(planned_record(trial, experiment, INTERRUPTED), names)))
        found = measure(trial, experiment, executor, _Reporter(send), watch)
        send(Ended(_shared(found.record, names), found.explained))


def _shared(record: TrialRecord, names: list[str]) -> TrialRecord:
    """The record with the names of the other machines that shared the trial."""
    return msgspec.structs.replace(record, other_machines=names)


def _adapted(order: Order, trials: Sequence[Trial], send: Send) -> Plan:
    """The trials with this node's frameworks, data and CPUs."""
    threads = order.manifest.cluster.threads if order.manifest.cluster else order.manifest.threads
    usable = usable_cpus()[: order.cpus]
    plan = remake_plan(
        machine_name(), order.manifest, threads, usable, lambda text: send(Progress(text))
    )
    jobs = list(dict.fromkeys(trial.job for trial in trials))
    return msgspec.structs.replace(plan, jobs=jobs, trials=list(trials))


def _certified(plan: Plan, order: Order, executor: Executor, send: Send) -> Experiment:
    """The experiment with this node's certificates and peak rates, cached or made now."""
    is_verified = order.manifest.verified

    def report(text: str) -> None:
        send(Progress(text))

    def began(job: Job) -> None:
        send(Checking(job))

    results = list(preliminaries(plan, is_verified, executor, report, began))
    if is_verified:
        send(Certified(certificates_in(results)))
    return with_results(plan.experiment, results)


class _Reporter:
    """Sends the driver what happens during a trial."""

    def __init__(self, send: Send) -> None:
        self._send = send

    def trial_event(self, trial: Trial, event: Event) -> None:
        """Send an event of the worker."""
        self._send(WorkerReported(event))

    def trial_disturbed(self, trial: Trial, record: TrialRecord) -> None:
        """Send a measurement that is discarded."""
        self._send(Disturbed(record))
