"""The certificates of a run: one per contender and model, made once and cached.

A cached certificate is valid for one version of the framework, of the backend's source and of the
check's source, one job (as `Job.certified` has it) and one kind of processor.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import msgspec

from backends.api import Recipe
from bench import cache
from bench.records.trial import Equivalence
from bench.spec.job import Job
from bench.verification.certificate import Certificate
from bench.verification.sources import backend_sources, digest_of
from bench.worker.protocol import Checked, ModelCheck


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


NO_CERTIFICATES = CertificateSettings(
    recipes={},
    framework_versions={},
    models={},
    threads=1,
    cpus=(),
    timeout=0.0,
    processor="",
    cache=None,
)


def wanted_certificates(jobs: Iterable[Job], unsupported: Callable[[Job], str]) -> list[Job]:
    """Return what to certify for the jobs, each once, as `Job.certified` has it.

    Args:
        jobs: planned jobs.
        unsupported: returns why a job is unsupported; such jobs need no certificate.
    """
    return list(dict.fromkeys(job.certified() for job in jobs if not unsupported(job)))


def cached_certificates(wanted: Iterable[Job], settings: CertificateSettings) -> set[Job]:
    """Return those of the wanted certificates that are in the cache."""
    return {job for job in wanted if cached_certificate(job, settings) is not None}


def backend_digest(recipe: Recipe) -> str:
    """Return the digest of all source files that `backend_sources` finds for the adapter."""
    module = recipe.adapter.partition(":")[0]
    return digest_of(*backend_sources(module.rpartition(".")[0] or module))


def equivalence_of(made: Iterable[Certificate]) -> dict[Job, Equivalence]:
    """Return whether each certificate passed, by job, without unsupported contenders."""
    return {
        each.job: "passed" if each.passed else "failed" for each in made if not each.is_unsupported
    }


def cached_certificate(job: Job, settings: CertificateSettings) -> Certificate | None:
    """Return the certificate of the job from the cache; None if it must be made."""
    return cache.load(_path(settings, job), Certificate)


def store_certificate(certificate: Certificate, settings: CertificateSettings) -> None:
    """Cache a certificate; without checks the worker failed, and the next command tries again."""
    if certificate.checks:
        cache.store(_path(settings, certificate.job), certificate)


def certificate_of(result: Checked, settings: CertificateSettings) -> Certificate:
    """Return the certificate with the result of a worker."""
    return Certificate(
        job=result.job,
        framework_version=settings.framework_versions[result.job.backend],
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
