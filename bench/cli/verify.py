"""`bench verify`: make certificates, without a run."""

import math
import time
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import rich_click as click
from rich.table import Table

from backends.registry import not_installed
from bench.cli.console import message_console, result_console, table
from bench.cli.options import request_options
from bench.cli.progress import checking
from bench.cli.values import OptionValue
from bench.errors import ChoiceError
from bench.machine.environments.selector import ALL
from bench.run.certificates import CertificateSettings, wanted_certificates
from bench.run.decode import Seconds
from bench.run.examiner import Examiner, certificates_in
from bench.run.executor import LocalExecutor
from bench.run.preliminaries import certificate_settings
from bench.run.prepare import Plan, make_plan
from bench.run.request import Request, RunOptions, request_of
from bench.spec.job import Job
from bench.verification.case import (
    EVERY_LAYER,
    EVERY_LAYER_SHAPE,
    ONE_OPTIMIZER,
    OPTIMIZERS,
    UNNORMALISED,
    every_layer,
    unnormalised,
)
from bench.verification.certificate import Certificate
from bench.worker.protocol import ModelCheck

ALL_PASSED, SOME_FAILED, NOTHING_CHECKED = 0, 1, 3


@click.command("verify")
@request_options("backends", "models", "modes", "devices", "precisions", "world_size")
@click.option(
    "--timeout",
    type=OptionValue(RunOptions, "timeout"),
    default="1h",
    show_default=True,
    help="Time limit of all models of one backend, mode and device.",
)
@click.option("--fresh", is_flag=True, help="Use no cached certificate.")
@click.option("--details", is_flag=True, help="Print all checks, not only failed ones.")
def command(details: bool, fresh: bool, **options: Any) -> int:
    """Prove that backends do the work that the spec states.

    Each backend receives the same weights and batches as a reference in NumPy and float64, and
    all results are compared: logits, loss, gradients, and the weights after 1, 10 and 50 steps.
    Every optimizer is checked on a small network that has every layer; each model is checked with
    SGD and momentum. If processes share batches and that network is therefore unsupported, the
    optimizers are checked on it without batch normalisation, on a line of its own.

    Numbers are the largest difference divided by the largest value; `steps` is the largest in
    training.

    Exit status: 0 all passed, except what a backend does not support, 1 some failed, 2 invalid
    options, 3 nothing was checked.
    """
    console, messages = result_console(), message_console()
    executor = LocalExecutor()
    plan = make_plan(_request(**options), executor, messages.print)
    jobs = wanted_certificates(plan.jobs, plan.experiment.unsupported)
    for line in _unsupported(plan):
        messages.print(line, soft_wrap=True)
    if not jobs:
        raise ChoiceError("nothing to check: no backend supports these options")
    wanted = [*(_with_model(job, EVERY_LAYER) for job in jobs), *jobs]
    settings = certificate_settings(plan, ONE_OPTIMIZER, options["timeout"], fresh=fresh)
    settings = msgspec.structs.replace(
        settings, models={**_with_every_optimizer(), **settings.models}
    )

    def began(job: Job) -> None:
        messages.print(checking(job))

    start = time.monotonic()
    examiner = Examiner(executor, messages.print, began, settings)
    made = [*_not_installed(wanted, settings), *certificates_in(examiner.results([], wanted))]
    made += certificates_in(examiner.results([], _still_wanted(made)))
    console.print(certificate_table(made))
    for line in failure_lines(made, details):
        console.print(line, soft_wrap=True)
    messages.print(f"{_counts(made)}, in {time.monotonic() - start:.0f} s")
    return _status(made)


def _with_every_optimizer() -> dict[str, ModelCheck]:
    layers = {EVERY_LAYER: every_layer(), UNNORMALISED: unnormalised(every_layer())}
    return {
        name: ModelCheck(layer, EVERY_LAYER_SHAPE, OPTIMIZERS) for name, layer in layers.items()
    }


def _with_model(job: Job, model: str) -> Job:
    return msgspec.structs.replace(job, model=model)


def _still_wanted(made: Sequence[Certificate]) -> list[Job]:
    """Return the jobs whose optimizers are unchecked: batch normalisation cannot be shared."""
    return [
        _with_model(each.job, UNNORMALISED)
        for each in made
        if each.job.model == EVERY_LAYER and each.is_unsupported and each.job.world_size > 1
    ]


def _counts(made: Sequence[Certificate]) -> str:
    passed = sum(each.passed for each in made)
    unsupported = sum(each.is_unsupported for each in made)
    text = f"{passed} of {len(made)} certificates passed"
    return f"{text}, {unsupported} unsupported" if unsupported else text


def _status(made: Sequence[Certificate]) -> int:
    """Return the exit status; what a backend does not support neither passes nor fails."""
    if all(each.framework_version is None or each.is_unsupported for each in made):
        return NOTHING_CHECKED
    return ALL_PASSED if all(each.passed or each.is_unsupported for each in made) else SOME_FAILED


def _not_installed(wanted: Iterable[Job], settings: CertificateSettings) -> list[Certificate]:
    """Return a failed certificate for each named contender whose framework is not installed."""
    missing = (job for job in wanted if settings.framework_versions[job.backend] is None)
    return [
        Certificate(
            job=job,
            framework_version=None,
            checks=(),
            seconds=0.0,
            error=not_installed(settings.recipes[job.backend]),
        )
        for job in dict.fromkeys(_with_model(job, ALL) for job in missing)
    ]


def _unsupported(plan: Plan) -> list[str]:
    """Return why jobs are left out: what their backends do not support."""
    reasons = map(plan.experiment.unsupported, plan.jobs)
    return list(dict.fromkeys(filter(None, reasons)))


def _request(timeout: Seconds, world_size: list[int], **options: Any) -> Request:
    # The checks have their own batches; the batch size only has to be one that processes share.
    batch = math.lcm(*world_size)
    return request_of(
        {**options, "world_size": world_size, "batch_sizes": [batch], "timeout": timeout}
    )


_FIGURES = {
    "inference": "logits in inference",
    "training": "logits in training",
    "loss": "loss",
    "gradients": "gradients",
}


def certificate_table(made: Sequence[Certificate]) -> Table:
    """Make the table of certificates with their largest differences."""
    who = ("backend", "mode", "device", "precision", "model")
    header = (*who, *_FIGURES, "steps", "seconds", "result")
    return table(header, [_row(each) for each in made], right=header[5:11])


def _row(certificate: Certificate) -> tuple[str, ...]:
    worst = {check.name: check.difference for check in certificate.checks}
    steps = [check.difference for check in certificate.checks if " after " in check.name]
    known = [difference for difference in steps if difference is not None]
    return (
        certificate.job.backend_title,
        certificate.job.mode,
        places(certificate.job),
        certificate.job.precision,
        certificate.job.model,
        *(_figure(worst.get(name)) for name in _FIGURES.values()),
        _figure(max(known, default=None)),
        f"{certificate.seconds:.1f}",
        _result(certificate),
    )


def places(job: Job) -> str:
    """Return the device, and how many of it share a batch if there are several."""
    return job.device if job.world_size == 1 else f"{job.world_size} x {job.device}"


def _result(certificate: Certificate) -> str:
    if certificate.is_unsupported:
        return "unsupported"
    return "pass" if certificate.passed else "FAIL"


def _figure(difference: float | None) -> str:
    return "-" if difference is None else f"{difference:.1e}"


def failure_lines(made: Sequence[Certificate], details: bool = False) -> list[str]:
    """Return one line per failed check, with where it failed.

    Args:
        made: the certificates.
        details: include checks that passed.
    """
    lines = []
    for each in made:
        job = each.job
        who = f"{job.backend_title} {job.mode} on {places(job)} in {job.precision}, {job.model}"
        if each.error:
            lines.append(f"{who}: {each.error}")
        for check in each.checks if details else each.failures:
            verdict = "pass" if check.passed else "FAIL"
            where = f", first at {check.where}" if check.where else ""
            lines.append(
                f"{who}: {verdict}: {check.name}: {_figure(check.difference)} of at most "
                f"{check.tolerance:.0e}{where}"
            )
    return lines
