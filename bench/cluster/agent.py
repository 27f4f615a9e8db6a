"""What a node does: the suite's own trials, as on a machine alone, told to whoever asked.

Imports no cluster's library: the same function serves any that can call it and carry messages back.
"""

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from bench.cache import cache_folder
from bench.cluster.gang import Follower, GangExecutor, Helper
from bench.cluster.messages import (
    Arrived,
    Began,
    Certified,
    Checking,
    Disturbed,
    Ended,
    Happened,
    Look,
    Message,
    Order,
    Question,
    Refused,
    Told,
)
from bench.data.sources import find_source
from bench.errors import UserError
from bench.machine.disturbance import Watch
from bench.machine.environments.choice import choose_backends
from bench.machine.hardware import machine_name, usable_cpus
from bench.machine.other_runs import presence
from bench.records.trial import TrialRecord
from bench.run.certificates import certificates, equivalence_of, wanted_certificates
from bench.run.executor import Executor, LocalExecutor
from bench.run.outcome import INTERRUPTED
from bench.run.preliminaries import peak_rates_of, run_certificate_settings
from bench.run.prepare import Plan, recipes_of_run, remake_plan
from bench.run.runner import Experiment, measure, planned_record
from bench.run.validity import holding_of
from bench.spec.job import Trial
from bench.verification.certificate import Certificate
from bench.worker.protocol import Event

Tell = Callable[[Message], None]


def look(question: Question) -> Look:
    """What this node is and has; reads a few files, so that it disturbs no trial that runs here."""
    refusal = ""
    found = {}
    try:
        chosen = choose_backends(question.backends, question.on_gpu)
        found = {recipe.name: recipe for recipe in chosen.recipes}
        if question.data_dir:
            find_source(Path(question.data_dir))
    except UserError as error:
        refusal = str(error)
    return Look(holding_of(found), refusal)


def follower(order: Order) -> Follower:
    """This node as one that shares the trials of another one.

    Raises:
        UserError: a backend of the run is not installed here, or the data set differs.
    """
    name = machine_name()
    recipes = recipes_of_run(name, order.manifest, lambda text: None)
    cpus = usable_cpus()[: order.cpus]
    return Follower(name, order.address, LocalExecutor(), recipes, cpus)


def work(
    order: Order, trials: Sequence[Trial], helpers: Sequence[Helper] = ()
) -> Iterator[Message]:
    """Run the trials of one ranking on this node, in order, and tell what happens as it does.

    Args:
        order: what to know of the run.
        trials: of the ranking.
        helpers: the nodes that share each of them, where they have several hosts.
    """
    inbox: queue.SimpleQueue[Message | BaseException | None] = queue.SimpleQueue()

    def follow() -> None:
        try:
            with presence(cache_folder()):
                _run(order, trials, helpers, inbox.put)
        except UserError as error:
            inbox.put(Refused(str(error)))
        except BaseException as error:  # the driver is to see it, not this thread's end
            inbox.put(error)
        finally:
            inbox.put(None)

    yield Arrived()
    # Daemon: what is told to end does not wait for a trial.
    threading.Thread(target=follow, daemon=True).start()
    while (message := inbox.get()) is not None:
        if isinstance(message, BaseException):
            raise message
        yield message


def _run(order: Order, trials: Sequence[Trial], helpers: Sequence[Helper], tell: Tell) -> None:
    executor = GangExecutor(LocalExecutor(), order.address, helpers)
    others = [helper.name for helper in helpers]
    experiment = _known(_adapted(order, trials, tell), order, executor, tell)
    watch = Watch(len(trials), experiment.retries)
    for trial in trials:
        tell(Began(trial, _shared(planned_record(trial, experiment, INTERRUPTED), others)))
        found = measure(trial, experiment, executor, _Teller(tell), watch)
        tell(Ended(_shared(found.record, others), found.explained))


def _shared(record: TrialRecord, others: list[str]) -> TrialRecord:
    """The record with the machines that shared the trial."""
    return msgspec.structs.replace(record, other_machines=others)


def _adapted(order: Order, trials: Sequence[Trial], tell: Tell) -> Plan:
    """The trials as this node can do them: its frameworks, its data, its CPUs."""
    threads = order.manifest.cluster.threads if order.manifest.cluster else order.manifest.threads
    usable = usable_cpus()[: order.cpus]
    plan = remake_plan(
        machine_name(), order.manifest, threads, usable, lambda text: tell(Told(text))
    )
    jobs = list(dict.fromkeys(trial.job for trial in trials))
    return msgspec.structs.replace(plan, jobs=jobs, trials=list(trials))


def _known(plan: Plan, order: Order, executor: Executor, tell: Tell) -> Experiment:
    """The experiment with this node's certificates and peak rates, cached or made now."""
    rates = peak_rates_of(plan, executor, lambda text: tell(Told(text)))
    experiment = msgspec.structs.replace(plan.experiment, peak_rates=tuple(rates))
    made: list[Certificate] = []
    if order.manifest.verified:
        settings = run_certificate_settings(plan)
        wanted = wanted_certificates(plan.jobs, experiment.unsupported)
        made += certificates(wanted, settings, executor, lambda job: tell(Checking(job)))
        tell(Certified(made))
    return msgspec.structs.replace(experiment, equivalence=equivalence_of(made))


class _Teller:
    """Tells what happens to a trial."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell

    def trial_event(self, trial: Trial, event: Event) -> None:
        """What the worker told."""
        self._tell(Happened(event))

    def trial_disturbed(self, trial: Trial, record: TrialRecord) -> None:
        """A measurement that is not kept."""
        self._tell(Disturbed(record))
