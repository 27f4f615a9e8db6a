"""`bench run`: measure, record, report."""

import itertools
import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import click
import msgspec
from click.core import ParameterSource
from rich.console import Console

from bench.choices import ChoiceError, check_known
from bench.cli.console import message_console, result_console
from bench.cli.execute import ALL_MEASURED, Execution
from bench.cli.nodes import nodes_for, resume_on, seen
from bench.cli.tables import plan_table
from bench.cli.values import (
    CountList,
    Duration,
    FactorList,
    FilePath,
    NameList,
    Percentage,
    Repeats,
)
from bench.data.prepare import cache_folder
from bench.executor import LocalExecutor
from bench.folder import RunFolder
from bench.interrupts import Interrupts
from bench.manifest import make_manifest
from bench.plan import SCALINGS
from bench.presence import other_runs
from bench.records import AutoRepeats, NodesChoice
from bench.request import Choices, Prepared, Request, prepare_run
from bench.resume import resume as resume_run
from bench.spec.training import Adam, Optimizer, Sgd
from bench.version import __version__


@click.command("run")
@click.option(
    "--backends",
    type=NameList(),
    default="all",
    help="`all` that are installed or have an environment, or names as `bench list backends` shows "
    "them; jax==0.9.* runs in an environment of its own, jax@/path/to/python in yours. "
    "Default: all.",
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
    "--widths",
    type=FactorList(),
    default="1",
    help="Multiples of the units and filters of every layer but the last: 0.5,1,2. Default: 1.",
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
    "--precisions",
    type=NameList(),
    default="float32",
    help="float32, bfloat16, float16 (in both, layers compute in the short type and weights stay "
    "float32), tf32, float64. float16 and tf32 need a GPU. Default: float32.",
)
@click.option(
    "--input",
    "inputs",
    type=NameList(),
    default="resident",
    help="`resident` (the training data lies on the device), `pipeline` (each framework's own "
    "loader brings the batches), or both. Default: resident.",
)
@click.option(
    "--batch-sizes", type=CountList(), default="64", help="Images a step, one or several: 64,256."
)
@click.option("--epochs", type=click.IntRange(1, 100_000), default=3, show_default=True)
@click.option(
    "--until-accuracy",
    type=click.FloatRange(0, 1, min_open=True),
    help="End each trial after the epoch that reaches this test accuracy, a share like 0.98, or "
    "after --epochs without it; the report then shows the time to it.",
)
@click.option(
    "--repeats",
    type=Repeats(),
    default="3",
    show_default=True,
    help="Fresh processes of each contender; repeat r trains with seed + r - 1. `auto` adds "
    "repeats until each ratio is known as well as --interval says, or --max-time is spent.",
)
@click.option(
    "--interval",
    type=Percentage(),
    default="2%",
    show_default=True,
    help="With --repeats auto: how far the 95 % interval of a ratio may reach to either side.",
)
@click.option(
    "--max-time",
    type=Duration(),
    default="1h",
    show_default=True,
    help="With --repeats auto: no repeat begins that would end later. The first always runs.",
)
@click.option("--seed", type=click.IntRange(0, 2**31), default=0, show_default=True)
@click.option(
    "--threads",
    type=CountList(),
    default=[],
    help="CPU threads of each process, one number or several: 1,2. Default: the CPUs that this "
    "process may use, shared among --world-size processes.",
)
@click.option(
    "--world-size",
    "world_sizes",
    type=CountList(),
    default="1",
    help="Data-parallel training: processes or devices that share each batch, one number or "
    "several: 1,2,4. Default: 1.",
)
@click.option(
    "--scaling",
    "scalings",
    type=NameList(),
    default="strong",
    help="`strong`: --batch-sizes are those of all processes together, `weak`: of each process, "
    "or both. Default: strong.",
)
@click.option(
    "--timeout",
    type=Duration(),
    default="10m",
    show_default=True,
    help="Time limit of a trial: 90s, 10m, 1h.",
)
@click.option(
    "--retries",
    type=click.IntRange(0, 100),
    default=2,
    show_default=True,
    help="How often a trial that was disturbed (by other processes, or a slow machine) is taken "
    "again; in all at most for half of the trials.",
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
    "--arm",
    "arms",
    type=click.Choice(["controlled", "native"]),
    multiple=True,
    default=["controlled"],
    help="Who chooses what a user would leave unsaid (initial weights, batch normalisation's "
    "momentum and epsilon, Adam's epsilon): the spec, the same for all, or each framework by its "
    "own defaults. Give it twice for both. Default: controlled.",
)
@click.option(
    "--data-dir",
    type=FilePath(),
    help="A folder with another data set's four IDX files, raw or .gz. Default: the built-in "
    "MNIST.",
)
@click.option(
    "--output",
    type=FilePath(),
    help="Folder of the records and the report. Default: runs/<UTC timestamp>.",
)
@click.option(
    "--verify/--no-verify",
    default=True,
    help="Check first that each contender does the work that the spec states; what was checked "
    "before is not checked again. Default: verify.",
)
@click.option(
    "--resume",
    type=FilePath(),
    help="Go on with the run in this folder: only what is missing, failed or out of date runs. "
    "Everything else is as that run was asked for.",
)
@click.option(
    "--cluster",
    metavar="auto|ADDRESS",
    help="Run the trials on the nodes of a Ray cluster that this machine is one of: `auto`, or "
    "host:port. Default: on this machine. (docs/cluster.md)",
)
@click.option(
    "--nodes",
    type=click.Choice(get_args(NodesChoice)),
    default="any",
    show_default=True,
    help="With --cluster: the nodes share the plan (`any`), or each kind of machine among them "
    "does all of it (`each`).",
)
@click.option(
    "--accelerator-type",
    default="",
    metavar="NAME",
    help="With --cluster: only nodes that have it, by Ray's name: H100.",
)
@click.option("--dry-run", is_flag=True, help="Print the plan and stop.")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
def command(resume: Path | None, **options: Any) -> int:
    """Train the models in every backend asked for and write a report.

    Exit status: 0 all that was asked for was measured, 1 some trial failed, 2 the command, or a
    file or folder it names, was of no use, 3 nothing was measured, 130 interrupted.
    """
    if resume is not None:
        _check_alone("resume", "cluster", "dry_run", "quiet")
        return _resume(resume, options["cluster"], options["dry_run"], options["quiet"])
    return _run(**options)


def _run(
    output: Path | None,
    verify: bool,
    dry_run: bool,
    quiet: bool,
    cluster: str | None,
    nodes: NodesChoice,
    accelerator_type: str,
    **options: Any,
) -> int:
    results, messages = result_console(quiet), message_console(quiet)
    interrupts = Interrupts()
    executor = LocalExecutor(interrupts)
    request = _request(**options)
    measuring = nodes_for(request, cluster, nodes, accelerator_type, messages)
    tell = None if dry_run or measuring else messages.print
    prepared = prepare_run(request, executor, tell, measuring.cpus if measuring else None)
    if measuring:
        prepared = measuring.placed(prepared, request.repeats, request.seed)
    if not prepared.trials:
        raise ChoiceError("received a choice of backends and modes that leaves nothing to run")
    for line in prepared.remarks():
        messages.print(line)
    if dry_run:
        results.print(plan_table(prepared.trials, prepared.experiment.framework_versions))
        return ALL_MEASURED
    prepared = prepared if measuring else _aware_of_others(prepared, messages)
    with RunFolder(output or _unused_folder()) as folder, seen(measuring):
        interrupts.listen()
        choice = measuring.choice if measuring else None
        manifest = make_manifest(prepared, request, _typed(), verify, choice)
        folder.write_manifest(manifest)
        execution = Execution(executor, interrupts, folder, results, messages, measuring)
        return execution.run(prepared, manifest)


def _typed() -> str:
    """The command as typed; bytes that are no text are shown as such."""
    typed = shlex.join(["python", "-m", "bench", *sys.argv[1:]])
    return typed.encode("utf-8", "backslashreplace").decode()


def _unused_folder() -> Path:
    """runs/<UTC timestamp>, with a number where another run of that second has it."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    names = (f"{stamp}-{number}" for number in itertools.count(2))
    paths = (Path("runs") / name for name in itertools.chain([stamp], names))
    return next(path for path in paths if not path.exists())


def _aware_of_others(prepared: Prepared, messages: Console) -> Prepared:
    """The run with a note, and a line on the terminal, when another one measures here now."""
    if not other_runs(cache_folder()):
        return prepared
    note = (
        "another run was measuring on this machine when this one began: the figures of both are "
        "disturbed"
    )
    messages.print(f"Warning: {note}; better run one after the other")
    return msgspec.structs.replace(prepared, notes=[*prepared.notes, note])


def _resume(path: Path, cluster: str | None, dry_run: bool, quiet: bool) -> int:
    results, messages = result_console(quiet), message_console(quiet)
    measuring = None
    if cluster is None:
        resumed = resume_run(path, None if dry_run else messages.print)
    else:
        resumed, measuring = resume_on(path, cluster, messages)
    messages.print(
        f"{len(resumed.kept)} records are kept: same job, framework version, backend source and "
        "machine"
    )
    if resumed.manifest.suite_version != __version__:
        messages.print(
            f"Note: the run was begun by evenbench {resumed.manifest.suite_version}, this is "
            f"{__version__}"
        )
    for trial, reason in resumed.reasons.items():
        messages.print(f"{trial} runs again: {reason}")
    if dry_run:
        versions = resumed.prepared.experiment.framework_versions
        results.print(plan_table(resumed.prepared.trials, versions))
        return ALL_MEASURED
    interrupts = Interrupts()
    prepared = resumed.prepared if measuring else _aware_of_others(resumed.prepared, messages)
    with RunFolder.reopen(path) as folder, seen(measuring):
        interrupts.listen()
        executor = LocalExecutor(interrupts)
        execution = Execution(executor, interrupts, folder, results, messages, measuring)
        return execution.run(prepared, resumed.manifest, resumed.kept)


def _given() -> list[str]:
    """The names of the options that were typed."""
    context = click.get_current_context()
    source = context.get_parameter_source
    return [name for name in context.params if source(name) is ParameterSource.COMMANDLINE]


def _check_alone(*fitting: str) -> None:
    """Refuse options that the run in the folder has settled already."""
    for name in _given():
        if name not in fitting:
            raise click.UsageError(
                f"received --resume with --{name.replace('_', '-')}, expected --resume alone: the "
                "run in the folder says what is measured"
            )


def _check_not_given(*names: str) -> None:
    """Refuse options that a fixed number of repeats has no use for."""
    for name in _given():
        if name in names:
            raise click.UsageError(
                f"received --{name.replace('_', '-')} with a number of repeats, expected it with "
                "--repeats auto"
            )


def _request(
    optimizer: str, repeats: int | None, interval: float, max_time: float, **options: Any
) -> Request:
    if repeats is not None:
        _check_not_given("interval", "max_time")
    values = {name: options.pop(name) for name in ("learning_rate", "momentum", "nesterov", "l2")}
    check_known(options["scalings"], SCALINGS, "scaling")
    chosen = {name: options.pop(name) for name in Choices.__struct_fields__}
    chosen["arms"] = list(dict.fromkeys(chosen["arms"]))
    return Request(
        choices=[Choices(**chosen)],
        optimizer=_optimizer(optimizer, **values),
        repeats=repeats or 1,
        auto_repeats=None if repeats else AutoRepeats(interval, max_time),
        **options,
    )


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
