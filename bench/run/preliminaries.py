"""What is measured before the first trial: certificates and peak rates."""

from collections.abc import Iterator
from functools import partial
from itertools import chain

from backends.registry import installed_version, recipes
from bench.cache import cache_folder
from bench.machine.hardware import describe_machine
from bench.run.certificates import CertificateSettings
from bench.run.executor import Executor
from bench.run.peak_rates import MEASURE_SECONDS, PeakRates, PeakRateSettings, peak_rates
from bench.run.prepare import Plan
from bench.run.request import Report
from bench.spec.training import Optimizer
from bench.verification.case import with_small_rate
from bench.worker.protocol import ModelCheck

NUMPY = "numpy"  # always installed, and its BLAS is a good one


def certificate_settings(
    plan: Plan,
    optimizers: dict[str, Optimizer],
    timeout: float,
    fresh: bool = False,
) -> CertificateSettings:
    """Return what the certificates of a plan's contenders have in common.

    Args:
        plan: of the trials.
        optimizers: the optimizers that each model is checked with, by name.
        timeout: seconds for all models of one contender.
        fresh: neither use nor store certificates in the cache.
    """
    experiment = plan.experiment
    return CertificateSettings(
        recipes=experiment.recipes,
        framework_versions=experiment.framework_versions,
        models={
            name: ModelCheck(facts.layer, plan.dataset.input_shape, optimizers)
            for name, facts in experiment.models.items()
        },
        threads=experiment.threads,
        cpus=experiment.cpus,
        timeout=timeout,
        processor=describe_machine().cpu_model or "unknown",
        cache=None if fresh else cache_folder(),
    )


def run_certificate_settings(plan: Plan) -> CertificateSettings:
    """Return the settings of a run: the run's optimizer, at a small learning rate."""
    experiment = plan.experiment
    optimizers = {"this run's optimizer": with_small_rate(experiment.optimizer)}
    return certificate_settings(plan, optimizers, experiment.timeout)


def peak_rates_of(plan: Plan, executor: Executor, report: Report) -> Iterator[PeakRates]:
    """Yield the peak rates of NumPy and of each backend of the plan, cached or measured now.

    Args:
        plan: of the trials.
        executor: runs the workers.
        report: called with a line for each peak rate that must be measured.
    """
    experiment = plan.experiment
    known = {NUMPY: recipes()[NUMPY], **experiment.recipes}
    devices = {(NUMPY, "cpu"): None}
    devices |= dict.fromkeys((job.backend, job.device) for job in plan.jobs)
    wanted = [
        (known[name], version, device)
        for name, device in devices
        if (version := installed_version(known[name])) is not None
    ]
    # A framework that hangs at its import costs no more here than in a trial.
    timeout = min(MEASURE_SECONDS, experiment.timeout)
    numbers = {experiment.threads_of(job) * job.local_size for job in plan.jobs}
    settings = (
        PeakRateSettings(threads, experiment.cpus[:threads], cache_folder(), timeout)
        for threads in sorted(numbers)
    )
    return chain.from_iterable(
        peak_rates(wanted, setting, executor, partial(_report, report, setting.threads))
        for setting in settings
    )


def _report(report: Report, threads: int, backend: str, device: str) -> None:
    with_threads = f" with {threads} threads" if threads > 1 else ""
    report(f"measuring the peak rate of {backend} on {device}{with_threads}")
