"""Measures peak rates and makes certificates with as few workers as possible.

One worker measures the peak rates of a backend and makes the certificates of all its contenders
that can share a process, so that the framework is imported once.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple

from bench.run.certificates import (
    NO_CERTIFICATES,
    CertificateSettings,
    cached_certificate,
    certificate_of,
    store_certificate,
)
from bench.run.executor import Executor
from bench.run.launch import Launch, launch_of, launch_of_job
from bench.run.outcome import verdict_of
from bench.run.peak_rates import KnownRates, PeakRates, WantedRates, measured_rates
from bench.run.request import Report
from bench.spec.job import Job
from bench.verification.certificate import Certificate
from bench.worker.protocol import CheckBegan, Checked, Event, Imported, PreliminaryTask, Rates

Result = PeakRates | Certificate


def peak_rates_in(results: Iterable[Result]) -> list[PeakRates]:
    """Return the peak rates among the results."""
    return [each for each in results if isinstance(each, PeakRates)]


def certificates_in(results: Iterable[Result]) -> list[Certificate]:
    """Return the certificates among the results."""
    return [each for each in results if isinstance(each, Certificate)]


class _Process(NamedTuple):
    """What everything that one worker measures has in common.

    Attributes:
        backend: its name.
        device: device name.
        threads: CPU threads.
        world_size: processes or devices that share each batch.
        hosts: number of machines.
        environment: the job's variables.
        contender: the only one, where several processes share each batch: an error in one of them
            ends all.
    """

    backend: str
    device: str
    threads: int
    world_size: int = 1
    hosts: int = 1
    environment: tuple[str, ...] = ()
    contender: Job | None = None


class _Attempt(NamedTuple):
    """What a worker did.

    Attributes:
        events: that it reported.
        reason: why it ended early; empty if it did not.
    """

    events: list[Event]
    reason: str


class Examiner:
    """Measures peak rates and makes certificates, with as few workers as possible."""

    def __init__(
        self,
        executor: Executor,
        report: Report,
        began: Callable[[Job], None] = lambda job: None,
        settings: CertificateSettings = NO_CERTIFICATES,
    ) -> None:
        """Create an examiner.

        Args:
            executor: runs the workers.
            report: called with a line for each peak rate that must be measured.
            began: called with each job whose certificate must be made.
            settings: what all certificates have in common.
        """
        self._executor = executor
        self._report = report
        self._began = began
        self._settings = settings
        self._known = KnownRates()

    def results(self, rates: Sequence[WantedRates], jobs: Sequence[Job]) -> Iterator[Result]:
        """Yield peak rates and certificates, from the cache or made now.

        If a worker ends early, the contender that it checked has no certificate, and another worker
        continues with the others. Nothing is certified on a device that turns out to be absent, nor
        for a framework that is not installed.

        Args:
            rates: the peak rates.
            jobs: what to certify, as `Job.certified` has it.
        """
        absent: set[tuple[str, str]] = set()
        for process, wanted, group in self._batches(rates, jobs):
            if wanted and (known := self._known.get(wanted)):
                yield known
                wanted = None
            cached = {job: cached_certificate(job, self._settings) for job in group}
            yield from filter(None, cached.values())
            missing = [job for job, certificate in cached.items() if certificate is None]
            while wanted or (missing and process[:2] not in absent):
                attempt = self._work(wanted, missing)
                made = self._certificates(wanted, missing, attempt)
                if wanted:
                    measured = measured_rates(wanted, *attempt)
                    if measured.absent:
                        absent.add(process[:2])
                        made = []
                    yield measured
                    wanted = None
                yield from made
                done = {certificate.job for certificate in made}
                missing = [job for job in missing if job not in done]

    def _batches(
        self, rates: Sequence[WantedRates], jobs: Sequence[Job]
    ) -> list[tuple[_Process, WantedRates | None, list[Job]]]:
        """Return what each worker does: peak rates, certificates or both."""
        rates_of = {
            _Process(each.recipe.name, each.device, each.setting.threads): each for each in rates
        }
        jobs_of: dict[_Process, dict[Job, list[Job]]] = {}
        for job in jobs:
            if self._settings.framework_versions[job.backend] is not None:
                contenders = jobs_of.setdefault(self._process_of(job), {})
                contenders.setdefault(job.with_any_model(), []).append(job)
        return [
            (process, rates_of.get(process), list(chain(*jobs_of.get(process, {}).values())))
            for process in dict.fromkeys([*rates_of, *jobs_of])
        ]

    def _process_of(self, job: Job) -> _Process:
        """Return what the job has in common with those that can share a process with it."""
        return _Process(
            backend=job.backend,
            device=job.device,
            threads=self._settings.threads,
            world_size=job.world_size,
            hosts=job.hosts,
            environment=job.environment,
            contender=job.with_any_model() if self._is_group(job) else None,
        )

    def _is_group(self, job: Job) -> bool:
        """Return whether several processes share each batch."""
        recipe = self._settings.recipes[job.backend]
        return job.hosts * recipe.processes_for(job.local_size) > 1

    def _work(self, wanted: WantedRates | None, jobs: Sequence[Job]) -> _Attempt:
        """Run a worker, and store everything as soon as it is reported."""
        events: list[Event] = []

        def on_event(event: Event) -> None:
            events.append(event)
            if isinstance(event, Rates) and wanted:
                self._known.add(wanted, measured_rates(wanted, events, ""))
            elif isinstance(event, CheckBegan):
                self._began(event.job)
            elif isinstance(event, Checked):
                store_certificate(certificate_of(event, self._settings), self._settings)

        if wanted:
            self._report(_in_words(wanted))
        task, launch = self._task(wanted, jobs)
        timeout = wanted.setting.timeout if wanted else self._settings.timeout
        end = self._executor.run(task, launch, timeout, on_event)
        limits = [event.limit_seconds for event in events if isinstance(event, CheckBegan)]
        limit = next(filter(None, limits), timeout)
        return _Attempt(events, verdict_of(events, end, limit).reason or "")

    def _task(
        self, wanted: WantedRates | None, jobs: Sequence[Job]
    ) -> tuple[PreliminaryTask, Launch]:
        """Return a worker's task and how it starts."""
        if wanted and not jobs:
            return _rates_task(wanted), launch_of(wanted.recipe)
        settings, first = self._settings, jobs[0]
        recipe = settings.recipes[first.backend]
        task = PreliminaryTask(
            adapter=recipe.adapter,
            threads=settings.threads,
            cpus=settings.cpus[: settings.threads * first.local_size],
            hosts=first.hosts,
            processes=recipe.processes_for(first.local_size),
            device=first.device,
            peak_rates=wanted is not None,
            jobs=tuple(jobs),
            models={job.model: settings.models[job.model] for job in jobs},
            references=str(settings.cache / "references") if settings.cache else None,
            # A plain number: the message cannot contain the option's type.
            contender_seconds=None if self._is_group(first) else float(settings.timeout),
        )
        return task, launch_of_job(recipe, first)

    def _certificates(
        self, wanted: WantedRates | None, jobs: Sequence[Job], attempt: _Attempt
    ) -> list[Certificate]:
        """Return the certificates that a worker made, and failed ones for what ended it early."""
        begun = [event.job for event in attempt.events if isinstance(event, CheckBegan)]
        results = [event for event in attempt.events if isinstance(event, Checked)]
        left = list(jobs[len(results) :])
        if len(begun) > len(results):
            contender = begun[-1].with_any_model()
            failed = [job for job in left if job.with_any_model() == contender]
        else:
            failed = [] if results or _can_continue(wanted, attempt.events) else left
        results += [Checked(job, (), 0.0, attempt.reason) for job in failed]
        return [certificate_of(result, self._settings) for result in results]


def _rates_task(wanted: WantedRates) -> PreliminaryTask:
    """Return the task of a worker that measures nothing but peak rates."""
    return PreliminaryTask(
        adapter=wanted.recipe.adapter,
        threads=wanted.setting.threads,
        cpus=wanted.setting.cpus,
        device=wanted.device,
        peak_rates=True,
    )


def _can_continue(wanted: WantedRates | None, events: Sequence[Event]) -> bool:
    """Return whether a worker without peak rates may get further: only measuring them failed."""
    kinds = {type(event) for event in events}
    return wanted is not None and Imported in kinds and Rates not in kinds


def _in_words(wanted: WantedRates) -> str:
    threads = wanted.setting.threads
    with_threads = f" with {threads} threads" if threads > 1 else ""
    return f"measuring the peak rate of {wanted.recipe.name} on {wanted.device}{with_threads}"
