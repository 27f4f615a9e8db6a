"""`bench plan`: what a run file would do, what of it is measured, and how long the rest takes."""

from collections import Counter
from pathlib import Path
from typing import NamedTuple

import rich_click as click
from rich.table import Table

from bench.cli.console import message_console, result_console, table
from bench.cli.run_file import read_run_file
from bench.cli.sessions import folder_of, print_lines, valid_remarks
from bench.cli.values import FilePath
from bench.run.certificates import cached_certificates, wanted_certificates
from bench.run.estimates import Estimate, Estimator, earlier_records
from bench.run.executor import LocalExecutor
from bench.run.preliminaries import run_certificate_settings
from bench.run.session import Session, new_session
from bench.run.this_machine import ThisMachine
from bench.spec.job import Job
from reports.display import duration


@click.command("plan")
@click.argument("file", type=FilePath())
@click.option(
    "--output",
    type=FilePath(),
    help="Folder of the run's records, as for `bench run`. Default: runs/NAME.",
)
@click.option(
    "--records",
    type=FilePath(),
    default="runs",
    show_default=True,
    help="Folder of earlier runs, from which the time is estimated.",
)
def command(file: Path, output: Path | None, records: Path) -> int:
    """Print what `bench run FILE` would do, without doing it.

    One line per job: how many of its trials are measured already, whether its certificate is
    cached, and the time that is left, estimated from the most similar earlier trials: `~` marks
    those of another batch size, model or mode, `?` a guess.

    Exit status: 0 the file is valid, 2 invalid options, file or folder.
    """
    run_file = read_run_file(file)
    machine = ThisMachine(LocalExecutor())
    folder = output or folder_of(file)
    with run_file.locating_errors():
        session = new_session(run_file.request, machine, "", folder, extend=True)
    preview = _preview(session, records)
    print_lines([*session.plan.remarks(), *valid_remarks(session)], message_console())
    results = result_console()
    results.print(_table(preview))
    print_lines(_totals(preview), results)
    return 0


class _Preview(NamedTuple):
    """A run file's session, the time of a trial of each job, and the cached certificates."""

    session: Session
    estimates: dict[Job, Estimate]
    cached: set[Job]

    @property
    def verifies(self) -> bool:
        """Whether certificates are made."""
        return self.session.manifest.verified


def _preview(session: Session, records: Path) -> _Preview:
    plan = session.plan
    estimator = Estimator(earlier_records(records))
    examples = plan.dataset.train_examples
    estimates = {job: estimator.estimate(job, plan.experiment, examples) for job in plan.jobs}
    jobs = plan.jobs if session.manifest.verified else []
    wanted = wanted_certificates(jobs, plan.experiment.unsupported)
    return _Preview(session, estimates, cached_certificates(wanted, run_certificate_settings(plan)))


def _table(preview: _Preview) -> Table:
    plan = preview.session.plan
    remaining = Counter(trial.job for trial in preview.session.trials)
    planned = Counter(trial.job for trial in plan.trials)
    rows = [
        (
            job.model,
            str(job.batch_size),
            job.backend_title,
            job.mode,
            job.device,
            job.precision,
            job.input,
            job.arm,
            str(plan.experiment.threads_of(job)),
            str(job.world_size),
            str(job.hosts),
            f"{planned[job] - remaining[job]} of {planned[job]}",
            _certificate(job, preview),
            _time(preview.estimates[job], remaining[job]),
        )
        for job in plan.jobs
    ]
    header = ("model", "batch", "backend", "mode", "device", "precision", "input", "arm")
    numbers = ("threads", "world", "hosts", "measured", "time left")
    return table(
        (*header, *numbers[:4], "certificate", numbers[4]), rows, right=("batch", *numbers)
    )


def _certificate(job: Job, preview: _Preview) -> str:
    if not preview.verifies:
        return "-"
    return "cached" if job.certified() in preview.cached else "to make"


def _time(estimate: Estimate, trials: int) -> str:
    mark = "?" if estimate.likeness is None else "~" if estimate.likeness > 1 else ""
    return f"{mark}{duration(estimate.seconds * trials)}" if trials else "-"


def _totals(preview: _Preview) -> list[str]:
    """Return lines about the whole run."""
    plan, trials = preview.session.plan, preview.session.trials
    seconds = sum(preview.estimates[trial.job].seconds for trial in trials)
    guessed = sum(preview.estimates[trial.job].likeness is None for trial in trials)
    lines = [
        f"{len(plan.trials):,} trials of {len(plan.jobs):,} jobs; "
        f"{len(plan.trials) - len(trials):,} are measured and valid, {len(trials):,} are left"
    ]
    wanted = {job.certified() for job in plan.jobs}
    if preview.verifies and (missing := wanted - preview.cached):
        lines.append(f"{len(missing):,} certificates to make, whose time is not in the estimate")
    absent = [name for name, recipe in plan.experiment.recipes.items() if recipe.absence]
    if absent:
        lines.append(f"environments to make: {', '.join(absent)}")
    if trials:
        unknown = f", {guessed:,} of the trials by a guess" if guessed else ""
        lines.append(f"about {duration(seconds)} for the trials{unknown}")
    if limit := preview.session.manifest.time_limit:
        lines.append(
            f"further repeats follow until every pair is decided, or {duration(limit.seconds)} are "
            "over for each ranking"
        )
    return lines
