"""What a node does: the suite's own trials, as on a machine alone, told to whoever asked.

Imports no cluster's library: the same class serves any that can call it and carry messages back.
"""

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from bench.canary import Canary
from bench.cluster.messages import (
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
from bench.data.prepare import cache_folder
from bench.data.sources import find_source
from bench.disturbance import Watch
from bench.environments.choosing import choose_backends
from bench.errors import USER_ERRORS
from bench.executor import LocalExecutor
from bench.gate import Contender, certificates, contenders, equivalence_of
from bench.identity import machine_name
from bench.machine import usable_cpus
from bench.outcome import INTERRUPTED
from bench.plan import Job, Trial
from bench.presence import presence
from bench.records import Manifest, TrialRecord
from bench.request import Prepared, gate_of, known_limits
from bench.resume import holding_of, prepare_again
from bench.runner import Experiment, blank, measure
from bench.verification.case import careful
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
    except USER_ERRORS as error:
        refusal = str(error)
    return Look(holding_of(found), refusal)


class Agent:
    """Works through trials on its node, one at a time."""

    def __init__(self, order: Order) -> None:
        self._cpus = order.cpus
        self._manifest = msgspec.json.decode(order.manifest, type=Manifest)
        self._executor = LocalExecutor()
        self._prepared: Prepared | None = None
        self._canary: Canary | None = None
        self._checked: set[tuple[Contender, str]] = set()
        self._limited: set[tuple[str, str, int]] = set()

    def ready(self) -> bool:
        """Whether the node has begun to serve: it answers once its CPUs are this agent's."""
        return True

    def run(self, trials: Sequence[Trial]) -> Iterator[Message]:
        """Run the trials of one ranking, in order, and tell what happens as it does."""
        inbox: queue.SimpleQueue[Message | BaseException | None] = queue.SimpleQueue()
        # Daemon: an agent that is told to end does not wait for a trial.
        threading.Thread(target=self._work, args=(trials, inbox.put), daemon=True).start()
        while (message := inbox.get()) is not None:
            if isinstance(message, BaseException):
                raise message
            yield message

    def _work(
        self, trials: Sequence[Trial], put: Callable[[Message | BaseException | None], None]
    ) -> None:
        try:
            with presence(cache_folder()):
                self._run(trials, put)
        except USER_ERRORS as error:
            put(Refused(str(error)))
        except BaseException as error:  # the driver is to see it, not this thread's end
            put(error)
        finally:
            put(None)

    def _run(self, trials: Sequence[Trial], tell: Tell) -> None:
        if self._prepared is None:
            self._prepared = self._adapted(tell)
        jobs = list(dict.fromkeys(trial.job for trial in trials))
        experiment = self._known(self._prepared, jobs, tell)
        self._canary = self._canary or Canary()
        watch = Watch(len(trials), experiment.retries, self._canary)
        for trial in trials:
            tell(Began(trial, blank(trial, experiment, INTERRUPTED)))
            found = measure(trial, experiment, self._executor, _Teller(tell), watch)
            tell(Ended(found.record, found.explained))

    def _adapted(self, tell: Tell) -> Prepared:
        """The run as this node can do it: its frameworks, its data, its CPUs."""
        cluster = self._manifest.cluster
        return prepare_again(
            machine_name(),
            self._manifest,
            cluster.threads if cluster else None,
            usable_cpus()[: self._cpus],
            lambda text: tell(Told(text)),
        )

    def _known(self, prepared: Prepared, jobs: list[Job], tell: Tell) -> Experiment:
        """The experiment with the certificates and limits of the jobs, made now if need be."""
        prepared = msgspec.structs.replace(prepared, jobs=jobs)
        if self._manifest.verified:
            prepared = self._verified(prepared, tell)
        self._prepared = self._limited_by(prepared, tell)
        return self._prepared.experiment

    def _verified(self, prepared: Prepared, tell: Tell) -> Prepared:
        experiment = prepared.experiment
        wanted = {
            contender: [name for name in models if (contender, name) not in self._checked]
            for contender, models in contenders(prepared.jobs, experiment.recipes).items()
        }
        optimizers = {"this run's optimizer": careful(experiment.optimizer)}
        gate = gate_of(prepared, optimizers, experiment.timeout)
        made = list(certificates(wanted, gate, self._executor, lambda *what: tell(Checking(*what))))
        self._checked |= {(contender, name) for contender in wanted for name in wanted[contender]}
        tell(Certified(made))
        known = experiment.equivalence | equivalence_of(made)
        experiment = msgspec.structs.replace(experiment, equivalence=known)
        return msgspec.structs.replace(prepared, experiment=experiment)

    def _limited_by(self, prepared: Prepared, tell: Tell) -> Prepared:
        experiment = prepared.experiment
        fresh = {
            (job.backend, job.device, experiment.threads_of(job) * job.world_size): job
            for job in prepared.jobs
        }
        fresh = {key: job for key, job in fresh.items() if key not in self._limited}
        if not fresh:
            return prepared
        self._limited |= fresh.keys()
        wanted = msgspec.structs.replace(prepared, jobs=list(fresh.values()))
        made = known_limits(
            wanted,
            self._executor,
            lambda backend, device: tell(Told(f"measuring the limit of {backend} on {device}")),
        )
        known = {(each.backend, each.device, each.threads): each for each in experiment.limits}
        known |= {(each.backend, each.device, each.threads): each for each in made}
        experiment = msgspec.structs.replace(experiment, limits=tuple(known.values()))
        return msgspec.structs.replace(prepared, experiment=experiment)


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
