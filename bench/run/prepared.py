"""What a run will do, once everything that was asked is checked, and the gate and limits of it."""

from collections.abc import Callable, Iterator
from functools import partial

import msgspec

from backends.registry import installed_version, recipes
from bench.cache import cache_folder
from bench.machine.hardware import describe_machine
from bench.records.job import Job, Trial
from bench.records.manifest import DatasetFacts, Missing
from bench.run.certificates import Gate
from bench.run.executor import Executor
from bench.run.peak_rates import MEASURE_SECONDS, BackendLimit, Setting, backend_limits
from bench.run.runner import Experiment
from bench.spec.training import Optimizer
from bench.verification.case import careful
from bench.worker.protocol import ModelCheck

NUMPY = "numpy"  # always installed, and its BLAS is a good one


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """What a run will do.

    Attributes:
        experiment: what the trials have in common.
        combinations: every job of the choices.
        jobs: those of them that are not excluded: what is compared.
        trials: the processes, in order.
        dataset: the data set's facts.
        missing: backends that `all` left out since they are not installed.
        notes: what else the reader should know.
    """

    experiment: Experiment
    combinations: list[Job]
    jobs: list[Job]
    trials: list[Trial]
    dataset: DatasetFacts
    missing: list[Missing]
    notes: list[str]

    def remarks(self) -> list[str]:
        """What the user should know before the run: what is not installed, and the notes."""
        lines = [f"Note: {note}" for note in self.notes]
        names = [each.backend for each in self.missing]
        if names:
            lines.insert(0, f"not installed and left out: {', '.join(names)} (bench list backends)")
        return lines


def gate_of(
    prepared: Prepared,
    optimizers: dict[str, Optimizer],
    timeout: float,
    fresh: bool = False,
) -> Gate:
    """The gate of what was prepared.

    Args:
        prepared: the plan.
        optimizers: those that each model is trained with, by name.
        timeout: seconds for all models of one contender.
        fresh: keep and use nothing of earlier checks.
    """
    experiment = prepared.experiment
    return Gate(
        recipes=experiment.recipes,
        framework_versions=experiment.framework_versions,
        models={
            name: ModelCheck(facts.layer, prepared.dataset.input_shape, optimizers)
            for name, facts in experiment.models.items()
        },
        threads=experiment.threads,
        cpus=experiment.cpus,
        timeout=timeout,
        processor=describe_machine().cpu_model or "unknown",
        cache=None if fresh else cache_folder(),
    )


def own_gate(prepared: Prepared) -> Gate:
    """The gate of a run: each model with the run's own optimizer, at a careful rate."""
    experiment = prepared.experiment
    optimizers = {"this run's optimizer": careful(experiment.optimizer)}
    return gate_of(prepared, optimizers, experiment.timeout)


def known_limits(
    prepared: Prepared, executor: Executor, tell: Callable[[str], None]
) -> Iterator[BackendLimit]:
    """What NumPy and each backend of the plan reach at best on the devices that it trains on.

    Args:
        prepared: the plan.
        executor: runs the workers.
        tell: told in words of each limit that must be measured.
    """
    experiment = prepared.experiment
    known = {NUMPY: recipes()[NUMPY], **experiment.recipes}
    devices = {(NUMPY, "cpu"): None}
    devices |= dict.fromkeys((job.backend, job.device) for job in prepared.jobs)
    wanted = [
        (known[name], version, device)
        for name, device in devices
        if (version := installed_version(known[name])) is not None
    ]
    # A framework that hangs at its import costs no more here than in a trial.
    timeout = min(MEASURE_SECONDS, experiment.timeout)
    for threads in sorted({experiment.threads_of(job) * job.local_size for job in prepared.jobs}):
        setting = Setting(threads, experiment.cpus[:threads], cache_folder(), timeout)
        yield from backend_limits(wanted, setting, executor, partial(_say, tell, threads))


def _say(tell: Callable[[str], None], threads: int, backend: str, device: str) -> None:
    with_threads = f" with {threads} threads" if threads > 1 else ""
    tell(f"measuring the limit of {backend} on {device}{with_threads}")
