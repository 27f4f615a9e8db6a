"""The certificates of a run: one per contender and model, made once and cached.

A cached certificate is valid for one version of the framework, of the backend's source and of the
check's source, one job (as `Job.certified` has it) and one kind of processor.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from backends.api import Recipe
from bench import cache
from bench.records.trial import Equivalence
from bench.run.executor import Executor
from bench.run.launch import launch_of_job
from bench.run.outcome import verdict_of
from bench.spec.job import Job
from bench.verification.certificate import Certificate
from bench.verification.sources import backend_sources, digest_of
from bench.worker.protocol import CheckBegan, Checked, Event, ModelCheck, VerifyTask


class CertificateSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What all certificates of a command have in common.

    Attributes:
        recipes: each backend's recipe, by name.
        framework_versions: each backend's framework version; None where it is not installed.
        models: what to check, by the model's name.
        threads: CPU threads per worker.
        cpus: CPUs that workers may be bound to.
        timeout: seconds for all models of one contender.
        processor: the CPU model: another one runs other kernels.
        cache: folder of cached certificates and references; None neither reads nor writes any.
    """

    recipes: Mapping[str, Recipe]
    framework_versions: Mapping[str, str | None]
    models: Mapping[str, ModelCheck]
    threads: int
    cpus: tuple[int, ...]
    timeout: float
    processor: str
    cache: Path | None


def wanted_certificates(jobs: Iterable[Job], unsupported: Callable[[Job], str]) -> list[Job]:
    """Return what to certify for the jobs, each once, as `Job.certified` has it.

    Args:
        jobs: planned jobs.
        unsupported: returns why a job is unsupported; such jobs need no certificate.
    """
    return list(dict.fromkeys(job.certified() for job in jobs if not unsupported(job)))


def certificates(
    wanted: Iterable[Job],
    settings: CertificateSettings,
    executor: Executor,
    began: Callable[[Job], None],
) -> Iterator[Certificate]:
    """Yield each certificate, from the cache or made now. One worker makes all of a contender.

    Args:
        wanted: what to certify, as `Job.certified` has it.
        settings: what all certificates have in common.
        executor: runs the workers.
        began: called with each job whose certificate must be made.
    """
    for jobs in _by_contender(wanted):
        cached = {job: cache.load(_path(settings, job), Certificate) for job in jobs}
        yield from (certificate for certificate in cached.values() if certificate)
        missing = [job for job, certificate in cached.items() if certificate is None]
        if missing and settings.framework_versions[missing[0].backend] is not None:
            yield from _make(missing, settings, executor, began)


def _by_contender(wanted: Iterable[Job]) -> list[list[Job]]:
    """Group the jobs that differ in their model alone."""
    groups: dict[Job, list[Job]] = {}
    for job in wanted:
        groups.setdefault(msgspec.structs.replace(job, model=""), []).append(job)
    return list(groups.values())


def cached_certificates(wanted: Iterable[Job], settings: CertificateSettings) -> set[Job]:
    """Return those of the wanted certificates that are in the cache."""
    return {job for job in wanted if cache.load(_path(settings, job), Certificate) is not None}


def backend_digest(recipe: Recipe) -> str:
    """Return the digest of all source files that `backend_sources` finds for the adapter."""
    module = recipe.adapter.partition(":")[0]
    return digest_of(*backend_sources(module.rpartition(".")[0] or module))


def equivalence_of(made: Iterable[Certificate]) -> dict[Job, Equivalence]:
    """Return whether each certificate passed, by job, without unsupported contenders."""
    return {
        each.job: "passed" if each.passed else "failed" for each in made if not each.is_unsupported
    }


def _make(
    jobs: Sequence[Job],
    settings: CertificateSettings,
    executor: Executor,
    began: Callable[[Job], None],
) -> list[Certificate]:
    """Make the certificates of jobs that differ in their model alone."""
    events: list[Event] = []
    by_model = {job.model: job for job in jobs}

    def on_event(event: Event) -> None:
        events.append(event)
        if isinstance(event, CheckBegan):
            began(by_model[event.model])

    contender = jobs[0]
    recipe = settings.recipes[contender.backend]
    launch = launch_of_job(recipe, contender)
    end = executor.run(_task(jobs, settings), launch, settings.timeout, on_event)
    results = {event.model: event for event in events if isinstance(event, Checked)}
    reason = verdict_of(events, end, settings.timeout).reason or ""
    made = [
        _certificate(job, settings, results.get(job.model) or Checked(job.model, (), 0.0, reason))
        for job in jobs
    ]
    for certificate in made:
        if certificate.checks:  # without checks the worker failed: the next command tries again
            cache.store(_path(settings, certificate.job), certificate)
    return made


def _task(jobs: Sequence[Job], settings: CertificateSettings) -> VerifyTask:
    contender = jobs[0]
    return VerifyTask(
        adapter=settings.recipes[contender.backend].adapter,
        threads=settings.threads,
        cpus=settings.cpus[: settings.threads * contender.local_size],
        hosts=contender.hosts,
        processes=settings.recipes[contender.backend].processes_for(contender.local_size),
        job=contender,
        models={job.model: settings.models[job.model] for job in jobs},
        references=str(settings.cache / "references") if settings.cache else None,
    )


def _certificate(job: Job, settings: CertificateSettings, result: Checked) -> Certificate:
    return Certificate(
        job=job,
        framework_version=settings.framework_versions[job.backend],
        checks=result.checks,
        seconds=result.seconds,
        error=result.error,
    )


def _path(settings: CertificateSettings, job: Job) -> Path | None:
    """Return the path of the certificate in the cache; None if nothing is cached."""
    if settings.cache is None:
        return None
    recipe = settings.recipes[job.backend]
    parts = (
        job,
        settings.framework_versions[job.backend],
        settings.models[job.model],
        settings.processor,
        backend_digest(recipe),
        digest_of("backends.numpy", "bench.spec", "bench.verification"),
        recipe,
    )
    return settings.cache / "certificates" / f"{cache.digest(*parts)}.json"
