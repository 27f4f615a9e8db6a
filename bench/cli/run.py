"""`bench run`: measure, record, report."""

from pathlib import Path
from typing import Any, get_args

import click

from bench.cli.console import message_console, result_console
from bench.cli.exit_status import ALL_MEASURED
from bench.cli.machines import Where
from bench.cli.options import OF_THE_COMMAND, check_alone, request_of, request_of_file
from bench.cli.progress import observer_for
from bench.cli.sessions import finish, folder_of, planned_session, session_to_resume
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
from bench.records.manifest import NodesChoice
from bench.run.interrupts import Interrupts


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
    "--hosts",
    type=CountList(),
    default="1",
    help="With --cluster: machines of one kind that the processes of --world-size are on, equally "
    "many on each, one number or several: 1,2. A world size that they do not divide is left out. "
    "Default: 1.",
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
@click.argument("file", type=FilePath(), required=False)
def command(
    resume: Path | None,
    file: Path | None,
    cluster: str | None,
    nodes: NodesChoice,
    accelerator_type: str,
    output: Path | None,
    dry_run: bool,
    quiet: bool,
    **options: Any,
) -> int:
    """Train the models in every backend asked for and write a report.

    FILE is a run file in TOML that says it all, in the place of options: docs/run-files.md. Its
    records lie in runs/NAME, and what holds of them is not measured again.

    Exit status: 0 all that was asked for was measured, 1 some trial failed, 2 the command, or a
    file or folder it names, was of no use, 3 nothing was measured, 130 interrupted.
    """
    messages = message_console(quiet)
    interrupts = Interrupts()
    where = Where(cluster, nodes, accelerator_type)
    if resume is not None:
        check_alone("--resume", "resume", "cluster", "dry_run", "quiet")
        session = session_to_resume(resume, cluster, interrupts, messages, dry_run)
    elif file is not None:
        check_alone("a run file", "file", *OF_THE_COMMAND)
        requested = request_of_file(command, file)
        folder = output or folder_of(file)
        with requested.file.locating_errors():
            session = planned_session(
                requested.request, where, folder, True, interrupts, messages, dry_run
            )
    else:
        request = request_of(**options)
        session = planned_session(request, where, output, False, interrupts, messages, dry_run)
    results = result_console(quiet)
    if dry_run:
        results.print(plan_table(session.trials, session.plan.experiment.framework_versions))
        return ALL_MEASURED
    with interrupts.listening():
        with observer_for(messages, len(session.trials)) as observer:
            path = session.run(observer, interrupts, messages.print)
        return finish(path, interrupts, results, messages)
