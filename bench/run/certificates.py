"""The gate of a run: a certificate for each contender and model, made once and kept.

A certificate holds for a framework's version, the backend's and the check's source, the model,
mode, device, precision and processor; while none of these changes, the kept one is used.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from backends.api import Recipe
from bench import cache
from bench.records.job import Job
from bench.records.trial import Equivalence
from bench.run.executor import Executor
from bench.run.launch import launch_of, parallel_variables
from bench.run.outcome import verdict_of
from bench.verification.certificate import Certificate
from bench.verification.sources import backend_sources, digest_of
from bench.worker.protocol import CheckBegan, Checked, Event, ModelCheck, VerifyTask


class Contender(msgspec.Struct, frozen=True):
    """What a certificate is made for, apart from the model."""

    backend: str
    mode: str
    device: str
    precision: str = "float32"
    world_size: int = 1
    hosts: int = 1

    @property
    def local_size(self) -> int:
        """Processes or devices of each machine."""
        return self.world_size // self.hosts


# What a certificate holds for: a contender on a model.
ContenderModel = tuple[Contender, str]


def contender_of(job: Job) -> Contender:
    """Who does the job."""
    return Contender(job.backend, job.mode, job.device, job.precision, job.world_size, job.hosts)


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """What all certificates of a command have in common.

    Attributes:
        recipes: by backend.
        framework_versions: by backend; None where the framework is not installed.
        models: what to check of each model, by name.
        threads: CPU threads of each worker.
        cpus: the CPUs that workers may be bound to.
        timeout: seconds for all models of one contender.
        processor: the CPU model, since another one runs other kernels.
        cache: the folder of kept certificates and references; None keeps and uses none.
    """

    recipes: Mapping[str, Recipe]
    framework_versions: Mapping[str, str | None]
    models: Mapping[str, ModelCheck]
    threads: int
    cpus: tuple[int, ...]
    timeout: float
    processor: str
    cache: Path | None


def contenders(jobs: Sequence[Job], lacking: Callable[[Job], str]) -> dict[Contender, list[str]]:
    """The contenders of the jobs, each with its models; without jobs that lack something."""
    found: dict[Contender, list[str]] = {}
    for job in jobs:
        if lacking(job):
            continue
        models = found.setdefault(contender_of(job), [])
        if job.model not in models:
            models.append(job.model)
    return found


def certificates(
    wanted: Mapping[Contender, Sequence[str]],
    gate: Gate,
    executor: Executor,
    began: Callable[[Contender, str], None],
) -> Iterable[Certificate]:
    """Each contender's certificate on each of its models, kept or made now, as they come.

    Args:
        wanted: the models of each contender.
        gate: what all have in common.
        executor: runs the workers.
        began: called with each contender and model whose certificate must be made.
    """
    for contender, models in wanted.items():
        kept = {name: cache.load(_path(gate, contender, name), Certificate) for name in models}
        yield from (certificate for certificate in kept.values() if certificate)
        missing = [name for name, certificate in kept.items() if certificate is None]
        if missing and gate.framework_versions[contender.backend] is not None:
            yield from _make(contender, missing, gate, executor, began)


def kept_certificates(wanted: Mapping[Contender, Sequence[str]], gate: Gate) -> set[ContenderModel]:
    """Those whose certificate is kept, so that none must be made."""
    return {
        (contender, model)
        for contender, models in wanted.items()
        for model in models
        if cache.load(_path(gate, contender, model), Certificate) is not None
    }


def backend_digest(recipe: Recipe) -> str:
    """The digest of the backend's source: of all that `backend_sources` finds from its adapter."""
    module = recipe.adapter.partition(":")[0]
    return digest_of(*backend_sources(module.rpartition(".")[0] or module))


def equivalence_of(made: Iterable[Certificate]) -> dict[ContenderModel, Equivalence]:
    """Whether each certificate passed; what a backend lacks was not checked."""
    return {
        (contender_checked(each), each.model): "passed" if each.passed else "failed"
        for each in made
        if not each.is_unsupported
    }


def contender_checked(each: Certificate) -> Contender:
    """Whom a certificate is of."""
    return Contender(
        each.backend, each.mode, each.device, each.precision, each.world_size, each.hosts
    )


def _make(
    contender: Contender,
    models: Sequence[str],
    gate: Gate,
    executor: Executor,
    began: Callable[[Contender, str], None],
) -> list[Certificate]:
    events: list[Event] = []

    def on_event(event: Event) -> None:
        events.append(event)
        if isinstance(event, CheckBegan):
            began(contender, event.model)

    recipe = gate.recipes[contender.backend]
    launch = launch_of(recipe, parallel_variables(recipe, contender.local_size))
    end = executor.run(_task(contender, models, gate), launch, gate.timeout, on_event)
    made = {event.model: event for event in events if isinstance(event, Checked)}
    reason = verdict_of(events, end, gate.timeout).reason or ""
    found = [
        _certificate(contender, name, gate, made.get(name) or Checked(name, (), 0.0, reason))
        for name in models
    ]
    for certificate in found:
        if certificate.checks:  # else the check itself broke off: the next command tries again
            cache.store(_path(gate, contender, certificate.model), certificate)
    return found


def _task(contender: Contender, models: Sequence[str], gate: Gate) -> VerifyTask:
    return VerifyTask(
        adapter=gate.recipes[contender.backend].adapter,
        threads=gate.threads,
        cpus=gate.cpus[: gate.threads * contender.local_size],
        hosts=contender.hosts,
        models={name: gate.models[name] for name in models},
        device=contender.device,
        mode=contender.mode,
        precision=contender.precision,
        world_size=contender.world_size,
        references=str(gate.cache / "references") if gate.cache else None,
    )


def _certificate(contender: Contender, model: str, gate: Gate, found: Checked) -> Certificate:
    return Certificate(
        backend=contender.backend,
        framework_version=gate.framework_versions[contender.backend],
        mode=contender.mode,
        device=contender.device,
        model=model,
        precision=contender.precision,
        world_size=contender.world_size,
        hosts=contender.hosts,
        checks=found.checks,
        seconds=found.seconds,
        error=found.error,
    )


def _path(gate: Gate, contender: Contender, model: str) -> Path | None:
    """Where the certificate is kept; None where none is."""
    if gate.cache is None:
        return None
    recipe = gate.recipes[contender.backend]
    parts = (
        contender,
        gate.framework_versions[contender.backend],
        gate.models[model],
        gate.processor,
        backend_digest(recipe),
        digest_of("backends.numpy", "bench.spec", "bench.verification"),
        recipe,
    )
    return gate.cache / "certificates" / f"{cache.digest(*parts)}.json"
