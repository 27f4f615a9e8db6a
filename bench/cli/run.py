"""`bench run`: measure, record, report."""

import shlex
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.console import Console

from bench.choices import ChoiceError
from bench.cli.console import message_console, result_console
from bench.cli.progress import observer_for
from bench.cli.tables import plan_table, summary_table
from bench.cli.values import CountList, Duration, NameList
from bench.executor import Executor, LocalExecutor
from bench.folder import RunFolder
from bench.gate import certificates, contenders, equivalence_of
from bench.manifest import make_manifest
from bench.records import Equivalence, TrialRecord
from bench.request import Prepared, Request, gate_of, prepare_run
from bench.runner import ContenderModel, Observer, run_trials
from bench.spec.training import Adam, Optimizer, Sgd
from bench.verification.case import careful

ALL_MEASURED, SOME_FAILED, NOTHING_MEASURED, INTERRUPTED = 0, 1, 3, 130


@click.command("run")
@click.option(
    "--backends",
    type=NameList(),
    default="all",
    help="`all` that are installed, or names as `bench list backends` shows them. Default: all.",
)
@click.option(
    "--models",
    type=NameList(),
    default="mlp",
    help="Names as `bench list models` shows them, `all` that fit the images, or a function of "
    "your own that returns a layer: path/to/file.py:function (the file is executed). "
    "Default: mlp.",
)
@click.option(
    "--modes",
    type=NameList(),
    default="default",
    help="`default`, `all`, or names: of each backend those of its modes that are named.",
)
@click.option(
    "--devices",
    type=NameList(),
    default="auto",
    help="`auto` (the GPU where a backend sees one, else the CPU), `all`, cpu, gpu, gpu:1, mps.",
)
@click.option(
    "--batch-sizes", type=CountList(), default="64", help="Images a step, one or several: 64,256."
)
@click.option("--epochs", type=click.IntRange(1, 100_000), default=3, show_default=True)
@click.option(
    "--repeats",
    type=click.IntRange(1, 100_000),
    default=3,
    show_default=True,
    help="Fresh processes of each contender; repeat r trains with seed + r - 1.",
)
@click.option("--seed", type=click.IntRange(0, 2**31), default=0, show_default=True)
@click.option(
    "--threads",
    type=click.IntRange(1),
    help="CPU threads of each framework. Default: the CPUs that this process may use.",
)
@click.option(
    "--timeout",
    type=Duration(),
    default="10m",
    show_default=True,
    help="Time limit of a trial: 90s, 10m, 1h.",
)
@click.option(
    "--train-samples", type=click.IntRange(1), help="Train on so many images only. Default: all."
)
@click.option("--optimizer", type=click.Choice(["sgd", "adam"]), default="sgd", show_default=True)
@click.option(
    "--learning-rate",
    type=click.FloatRange(0, 1000, min_open=True, max_open=True),
    help="Default: 0.01 for sgd, 0.001 for adam.",
)
@click.option(
    "--momentum",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.9,
    show_default=True,
    help="Of sgd.",
)
@click.option("--nesterov", is_flag=True, help="Nesterov's momentum, of sgd.")
@click.option(
    "--l2",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.0,
    show_default=True,
    help="Weight of the L2 penalty, added to the gradient of every weight.",
)
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    help="A folder with another data set's four IDX files, raw or .gz. Default: the built-in "
    "MNIST.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="Folder of the records and the report. Default: runs/<UTC timestamp>.",
)
@click.option(
    "--verify/--no-verify",
    default=True,
    help="Check first that each contender does the work that the spec states; what was checked "
    "before is not checked again. Default: verify.",
)
@click.option("--dry-run", is_flag=True, help="Print the plan and stop.")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
def command(output: Path | None, verify: bool, dry_run: bool, quiet: bool, **options: Any) -> int:
    """Train the models in every backend asked for and write a report.

    Exit status: 0 all that was asked for was measured, 1 some trial failed, 2 the command was
    wrong, 3 nothing was measured, 130 interrupted.
    """
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    out, messages = result_console(quiet), message_console(quiet)
    executor = LocalExecutor()
    request = _request(**options)
    prepared = prepare_run(request, executor)
    if not prepared.trials:
        raise ChoiceError("received a choice of backends and modes that leaves nothing to run")
    _tell_missing(prepared, messages)
    if dry_run:
        out.print(plan_table(prepared.trials, prepared.experiment.framework_versions))
        return ALL_MEASURED
    output = output or Path("runs") / datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    typed = shlex.join(["python", "-m", "bench", *sys.argv[1:]])
    with RunFolder(output) as folder, observer_for(messages, len(prepared.trials)) as observer:
        folder.write_manifest(make_manifest(prepared, request, typed, verify))
        experiment = prepared.experiment
        if verify:
            equivalence = _verified(prepared, request, executor, folder, observer)
            experiment = msgspec.structs.replace(experiment, equivalence=equivalence)
        records = run_trials(prepared.trials, experiment, executor, folder, observer)
    out.print(summary_table(records))
    _report(output, messages)
    return _status(records)


def _verified(
    prepared: Prepared,
    request: Request,
    executor: Executor,
    folder: RunFolder,
    observer: Observer,
) -> dict[ContenderModel, Equivalence]:
    """Which contenders passed on which models; their certificates are stored with the run."""
    optimizers = {"this run's optimizer": careful(request.optimizer)}
    gate = gate_of(prepared, optimizers, request.timeout)
    made = list(certificates(contenders(prepared.jobs), gate, executor, observer.check_began))
    folder.write_certificates(made)
    return equivalence_of(made)


def _request(optimizer: str, **options: Any) -> Request:
    values = {name: options.pop(name) for name in ("learning_rate", "momentum", "nesterov", "l2")}
    return Request(optimizer=_optimizer(optimizer, **values), **options)


def _optimizer(
    name: str, learning_rate: float | None, momentum: float, nesterov: bool, l2: float
) -> Optimizer:
    try:
        if name == "adam":
            return Adam(learning_rate=learning_rate or Adam().learning_rate, l2=l2)
        rate = learning_rate or Sgd().learning_rate
        return Sgd(learning_rate=rate, momentum=momentum, nesterov=nesterov, l2=l2)
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def _tell_missing(prepared: Prepared, messages: Console) -> None:
    for missing in prepared.missing:
        messages.print(
            f"{missing.backend} is not installed and left out; to install it: {missing.install}",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )
    for note in prepared.notes:
        messages.print(f"Note: {note}", highlight=False, markup=False, soft_wrap=True)


def _report(folder: Path, messages: Console) -> None:
    from reports import write_report

    write_report([folder])
    messages.print(
        f"Report: {folder / 'report.html'}", highlight=False, markup=False, soft_wrap=True
    )


def _status(records: list[TrialRecord]) -> int:
    outcomes = [record.outcome for record in records]
    if "interrupted" in outcomes:
        return INTERRUPTED
    if "ok" not in outcomes:
        return NOTHING_MEASURED
    return ALL_MEASURED if set(outcomes) == {"ok"} else SOME_FAILED
