"""What is measured before the first trial: peak rates and certificates."""

from collections.abc import Callable, Iterator, Sequence

import msgspec

from backends.registry import installed_version, recipes
from bench.cache import cache_folder
from bench.machine.hardware import describe_machine
from bench.run.certificates import CertificateSettings, equivalence_of, wanted_certificates
from bench.run.examiner import Examiner, Result, certificates_in, peak_rates_in
from bench.run.executor import Executor
from bench.run.experiment import Experiment
from bench.run.peak_rates import MEASURE_SECONDS, PeakRateSettings, WantedRates
from bench.run.prepare import Plan
from bench.run.request import Report
from bench.spec.job import Job
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


def preliminaries(
    plan: Plan, verified: bool, executor: Executor, report: Report, began: Callable[[Job], None]
) -> Iterator[Result]:
    """Yield the peak rates of NumPy and of each backend of the plan, and the certificates.

    Args:
        plan: of the trials.
        verified: whether certificates are made.
        executor: runs the workers.
        report: called with a line for each peak rate that must be measured.
        began: called with each job whose certificate must be made.
    """
    jobs = wanted_certificates(plan.jobs, plan.experiment.unsupported) if verified else []
    examiner = Examiner(executor, report, began, run_certificate_settings(plan))
    return examiner.results(_wanted_rates(plan), jobs)


def with_results(experiment: Experiment, results: Sequence[Result]) -> Experiment:
    """Return the experiment with its peak rates and certificates."""
    rates, equivalence = peak_rates_in(results), equivalence_of(certificates_in(results))
    return msgspec.structs.replace(experiment, peak_rates=tuple(rates), equivalence=equivalence)


def _wanted_rates(plan: Plan) -> list[WantedRates]:
    """Return the peak rates that the plan's trials are compared with, for each number of threads.

    A framework's own backend comes before the others that call it.
    """
    experiment = plan.experiment
    known = {NUMPY: recipes()[NUMPY], **experiment.recipes}
    devices = dict.fromkeys([(NUMPY, "cpu"), *((job.backend, job.device) for job in plan.jobs)])
    # A framework that hangs at its import costs no more here than in a trial.
    timeout = min(MEASURE_SECONDS, experiment.timeout)
    numbers = {experiment.threads_of(job) * job.local_size for job in plan.jobs}
    settings = [
        PeakRateSettings(threads, experiment.cpus[:threads], cache_folder(), timeout)
        for threads in sorted(numbers)
    ]
    wanted = [
        WantedRates(known[name], version, device, setting)
        for setting in settings
        for name, device in devices
        if (version := installed_version(known[name])) is not None
    ]
    return sorted(wanted, key=lambda each: bool(each.recipe.engine))
