"""`bench plan`: what a run file would do, what of it is done, and how long the rest will take."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import click
from rich.table import Table

from bench.cli.carrying import folder_of, left_of, remarks
from bench.cli.console import message_console, result_console
from bench.cli.options import FromFile, prepared_file, request_of_file
from bench.cli.run import command as run_command
from bench.cli.tables import table
from bench.cli.values import FilePath
from bench.records.job import Job
from bench.run.certificates import Contender, contender_of, contenders, kept_certificates
from bench.run.estimates import Estimate, Estimator, earlier_records
from bench.run.executor import LocalExecutor
from bench.run.prepared import Prepared, own_gate
from bench.run.resume import Left

_MINUTES = 90.0  # above, seconds are not worth reading


@click.command("plan")
@click.argument("file", type=FilePath())
@click.option(
    "--output",
    type=FilePath(),
    help="As for `bench run`: where records may lie. Default: runs/NAME.",
)
@click.option(
    "--records",
    type=FilePath(),
    default="runs",
    show_default=True,
    help="A folder of earlier runs, from which the time is estimated.",
)
def command(file: Path, output: Path | None, records: Path) -> int:
    """Print what `bench run FILE` would do, and do nothing of it.

    A line a job: its trials and how many of them are recorded already, whether its certificate is
    kept, and the time that is left, estimated from earlier trials that are most alike: `~` marks
    those of another batch size, model or mode, `?` a guess.

    Exit status: 0 the file is right, 2 it is not.
    """
    asked = request_of_file(run_command, file)
    prepared = prepared_file(asked, LocalExecutor(), None)
    left = left_of(asked, prepared, output or folder_of(file))
    estimator = Estimator(earlier_records(records))
    examples = prepared.dataset.train_examples
    estimates = {
        job: estimator.estimate(job, prepared.experiment, examples) for job in prepared.jobs
    }
    results, messages = result_console(), message_console()
    for line in (*prepared.remarks(), *remarks(left)):
        messages.print(line)
    kept = _kept(prepared) if asked.verify else set()
    results.print(_table(asked, prepared, left, estimates, kept))
    for line in _totals(prepared, left, estimates, kept, asked.verify):
        results.print(line)
    return 0


def _kept(prepared: Prepared) -> set[tuple[Contender, str]]:
    gate = own_gate(prepared)
    return kept_certificates(contenders(prepared.jobs, prepared.experiment.lacking), gate)


def _table(
    asked: FromFile,
    prepared: Prepared,
    left: Left,
    estimates: dict[Job, Estimate],
    kept: set[tuple[Contender, str]],
) -> Table:
    waiting = Counter(trial.job for trial in left.prepared.trials)
    planned = Counter(trial.job for trial in prepared.trials)
    experiment = prepared.experiment
    rows = [
        (
            job.model,
            str(job.batch_size),
            job.backend,
            job.mode,
            job.device,
            job.precision,
            job.input,
            job.arm,
            str(experiment.threads_of(job)),
            str(job.world_size),
            str(job.hosts),
            f"{planned[job] - waiting[job]} of {planned[job]}",
            _certificate(job, kept) if asked.verify else "-",
            _time(estimates[job], waiting[job]),
        )
        for job in prepared.jobs
    ]
    header = ("model", "batch", "backend", "mode", "device", "precision", "input", "arm")
    numbers = ("threads", "world", "hosts", "recorded", "time left")
    return table(
        (*header, *numbers[:4], "certificate", numbers[4]), rows, right=("batch", *numbers)
    )


def _certificate(job: Job, kept: set[tuple[Contender, str]]) -> str:
    return "kept" if (contender_of(job), job.model) in kept else "to make"


def _time(estimate: Estimate, trials: int) -> str:
    mark = "?" if estimate.likeness is None else "~" if estimate.likeness > 1 else ""
    return f"{mark}{duration(estimate.seconds * trials)}" if trials else "-"


def duration(seconds: float) -> str:
    """In the unit that is worth reading."""
    if seconds < _MINUTES:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < _MINUTES else f"{minutes / 60:.1f} h"


def _totals(
    prepared: Prepared,
    left: Left,
    estimates: dict[Job, Estimate],
    kept: set[tuple[Contender, str]],
    verify: bool,
) -> list[str]:
    """What is to be done in all."""
    trials = left.prepared.trials
    seconds = sum(estimates[trial.job].seconds for trial in trials)
    guessed = sum(estimates[trial.job].likeness is None for trial in trials)
    lines = [
        f"{len(prepared.trials):,} trials of {len(prepared.jobs):,} jobs; "
        f"{len(prepared.trials) - len(trials):,} are recorded and hold, {len(trials):,} are left"
    ]
    wanted = {(contender_of(job), job.model) for job in prepared.jobs}
    if verify and (missing := wanted - kept):
        lines.append(f"certificates to make: {len(missing):,}, whose time is not in the estimate")
    absent = _absent(prepared)
    if absent:
        lines.append(f"environments to make: {', '.join(absent)}")
    if trials:
        unknown = f", {guessed:,} of the trials by a guess" if guessed else ""
        lines.append(f"about {duration(seconds)} of trials{unknown}")
    return lines


def _absent(prepared: Prepared) -> Sequence[str]:
    return [name for name, recipe in prepared.experiment.recipes.items() if recipe.absence]
