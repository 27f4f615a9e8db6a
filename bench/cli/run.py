"""`bench run`: measure, record, report."""

from pathlib import Path
from typing import Any, get_args

import rich_click as click

from bench.cli import ALL_MEASURED
from bench.cli.console import message_console, plan_table, result_console
from bench.cli.options import OF_THE_COMMAND, check_alone, request_from, request_options
from bench.cli.values import FilePath
from bench.records.manifest import NodesChoice
from bench.run.interrupts import Interrupts


@click.command("run")
@click.argument("file", type=FilePath(), required=False)
@request_options()
@click.option(
    "--cluster",
    metavar="auto|ADDRESS",
    panel="Cluster",
    help="Run the trials on the nodes of a Ray cluster that this machine belongs to: `auto`, or "
    "host:port. Default: on this machine. (docs/cluster.md)",
)
@click.option(
    "--nodes",
    type=click.Choice(get_args(NodesChoice)),
    default="any",
    show_default=True,
    panel="Cluster",
    help="With --cluster: the nodes share the plan (`any`), or each kind of machine does all of "
    "it (`each`).",
)
@click.option(
    "--accelerator-type",
    default="",
    metavar="NAME",
    panel="Cluster",
    help="With --cluster: use only nodes with this accelerator, by Ray's name: H100.",
)
@click.option(
    "--output",
    type=FilePath(),
    panel="Output",
    help="Folder of the records and the report. Default: runs/<UTC timestamp>, or runs/NAME of a "
    "run file.",
)
@click.option(
    "--resume",
    type=FilePath(),
    panel="Output",
    help="Resume the run in this folder: measure only what is missing, failed or outdated. All "
    "settings are those of that run.",
)
@click.option("--dry-run", is_flag=True, panel="Output", help="Print the plan and stop.")
@click.option("--quiet", is_flag=True, panel="Output", help="Print only errors.")
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
    """Train the models in every requested backend and write a report.

    FILE is a run file in TOML with all settings, instead of options: docs/run-files.md. Its
    records are in runs/NAME; valid records are not measured again.

    Exit status: 0 everything was measured, 1 some trial failed, 2 invalid options, file or folder,
    3 nothing was measured, 130 interrupted.
    """
    # Imported here so that --help is fast.
    from bench.cli.machines import Where
    from bench.cli.progress import observer_for
    from bench.cli.run_file import read_run_file
    from bench.cli.sessions import (
        cohort_lines,
        finish,
        folder_of,
        planned_session,
        print_lines,
        session_to_resume,
    )

    messages = message_console(quiet)
    interrupts = Interrupts()
    where = Where(cluster, nodes, accelerator_type)
    if resume is not None:
        check_alone("--resume", "resume", "cluster", "dry_run", "quiet")
        session = session_to_resume(resume, cluster, interrupts, messages, dry_run)
    elif file is not None:
        check_alone("a run file", "file", *OF_THE_COMMAND)
        run_file = read_run_file(file)
        folder = output or folder_of(file)
        with run_file.locating_errors():
            session = planned_session(
                run_file.request, where, folder, True, interrupts, messages, dry_run
            )
    else:
        request = request_from(options)
        session = planned_session(request, where, output, False, interrupts, messages, dry_run)
    results = result_console(quiet)
    if dry_run:
        results.print(plan_table(session.trials, session.plan.experiment.framework_versions))
        print_lines(cohort_lines(session), results)
        return ALL_MEASURED
    with interrupts.listening():
        with observer_for(messages, len(session.trials)) as observer:
            path = session.run(observer, interrupts, messages.print)
        return finish(path, interrupts, results, messages)
