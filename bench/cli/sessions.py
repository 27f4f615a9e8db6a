"""From the options of `bench run` or `bench.run(...)` to a session, and from it to a report."""

import contextlib
import os
import shlex
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from bench import __version__
from bench.cli import INTERRUPTED, status_of
from bench.cli.console import message_console, print_summary
from bench.cli.machines import Where, machines_for, machines_to_resume
from bench.cli.progress import observer_for
from bench.records.manifest import NodesChoice
from bench.records.reader import read_run
from bench.run.admission import cohorts_of
from bench.run.estimates import Estimator, earlier_records
from bench.run.interrupts import Interrupts
from bench.run.request import Report, Request, request_of
from bench.run.runner import in_rounds
from bench.run.session import Session, new_session, resumed_session
from bench.spec.job import Job

RUNS = Path("runs")


def planned_session(
    request: Request,
    where: Where,
    folder: Path | None,
    extend: bool,
    interrupts: Interrupts,
    messages: Console,
    dry_run: bool,
) -> Session:
    """Plan the requested run and print what the user should know of it.

    Args:
        request: what the user requested.
        where: the machines that measure.
        folder: of the run; None makes one under runs/.
        extend: keep the valid records of the run that the folder contains, if any.
        interrupts: what ends the run before its time.
        messages: where notes are printed.
        dry_run: make no environment.
    """
    machines = machines_for(request, where, interrupts, messages)
    report = _report(messages, dry_run or where.cluster is not None)
    session = new_session(request, machines, typed_command(), folder, extend, report)
    print_lines([*session.plan.remarks(), *valid_remarks(session)], messages)
    return session


def session_to_resume(
    folder: Path, cluster: str | None, interrupts: Interrupts, messages: Console, dry_run: bool
) -> Session:
    """Plan what is left of a run and print what the user should know of it.

    Args:
        folder: of the run.
        cluster: address of the Ray cluster that measures; None is this machine.
        interrupts: what ends the run before its time.
        messages: where notes are printed.
        dry_run: make no environment.
    """
    machines = machines_to_resume(folder, cluster, interrupts, messages)
    report = _report(messages, dry_run or cluster is not None)
    session = resumed_session(folder, machines, report)
    lines = [
        f"{len(session.valid)} records are still valid: same job, framework version, backend "
        "source and machine"
    ]
    if session.manifest.suite_version != __version__:
        lines.append(
            f"Note: the run was started by evenbench {session.manifest.suite_version}, this is "
            f"{__version__}"
        )
    lines += [f"{name} is measured again: {why}" for name, why in session.reasons.items()]
    print_lines(lines, messages)
    return session


def valid_remarks(session: Session) -> list[str]:
    """Return lines about the valid and invalid records that a run file's folder contains."""
    if not session.is_begun:
        return []
    lines = [f"{len(session.valid)} records of this run are still valid and are not measured again"]
    return lines + [f"{name} is measured again: {why}" for name, why in session.reasons.items()]


def print_lines(lines: Sequence[str], messages: Console) -> None:
    """Print each line."""
    for line in lines:
        messages.print(line)


def cohort_lines(session: Session) -> list[str]:
    """Return a line per ranking about which contenders take turns, as earlier runs show."""
    experiment = session.plan.experiment
    rankings: dict[Job, list[Job]] = {}
    for job in dict.fromkeys(trial.job for trial in session.trials if in_rounds(trial, experiment)):
        rankings.setdefault(job.compared_with(), []).append(job)
    if not rankings:
        return []
    estimator = Estimator(earlier_records(RUNS))
    lines = []
    for jobs in rankings.values():
        groups = cohorts_of(
            jobs, lambda job: estimator.memory(job, experiment), session.manifest.seed, 1
        )
        names = [", ".join(f"{job.backend_title} {job.mode}" for job in group) for group in groups]
        where = f"{jobs[0].model}, batch {jobs[0].batch_size}, on {jobs[0].device}"
        if len(groups) == 1:
            lines.append(f"{where}: all {len(jobs)} contenders take turns together")
        else:
            lines.append(f"{where}: memory is enough for cohorts of contenders that take turns:")
            lines += [f"  {name}" for name in names]
    return lines


def folder_of(file: Path) -> Path:
    """Return the default folder of a run file's records."""
    return RUNS / file.stem


def finish(folder: Path, interrupts: Interrupts, results: Console, messages: Console) -> int:
    """Print the summary of a run, write its report, and return the exit status.

    Args:
        folder: of the run.
        interrupts: whether the run was ended before its time.
        results: where the summary is printed.
        messages: where everything else is printed.
    """
    from reports.display import count, listed

    run = read_run(folder)
    if run.manifest.time_limit:
        reasons = dict.fromkeys(each.reason for each in run.manifest.time_limit.ended.values())
        repeats = count(run.manifest.repeats, "repeat")
        messages.print(f"{repeats}: {listed(list(reasons)) or 'interrupted'}")
    print_summary(run, results)
    messages.print(f"Report: {_write_report(folder)}")
    if interrupts.requested:
        messages.print(f"Resume with: bench run --resume {folder}")
        return INTERRUPTED
    return status_of(record.outcome for record in run.trials)


def typed_command() -> str:
    """Return the command as typed; bytes that are not text are shown as escapes."""
    typed = shlex.join(["python", "-m", "bench", *sys.argv[1:]])
    return typed.encode("utf-8", "backslashreplace").decode()


def _report(messages: Console, is_silent: bool) -> Report | None:
    return None if is_silent else messages.print


def _write_report(folder: Path) -> Path:
    from reports import write_report

    write_report([folder])
    return folder / "report.html"


def run(
    output: str | os.PathLike[str] | None = None,
    progress: bool = False,
    cluster: str | None = None,
    nodes: NodesChoice = "any",
    accelerator_type: str = "",
    **options: Any,
) -> Path:
    """Run a benchmark from a script or a notebook.

    Args:
        output: the run's folder; None makes one under runs/.
        progress: whether notes and a line per trial are printed to standard error.
        cluster: address of a Ray cluster; None measures on this machine.
        nodes: as --nodes.
        accelerator_type: as --accelerator-type.
        **options: the other options of `bench run`.

    Returns:
        The run's folder.

    Raises:
        bench.errors.UserError: an option is invalid, or the trials are not possible here.
        KeyboardInterrupt: the user stopped the run.
    """
    messages = message_console(quiet=not progress)
    interrupts = Interrupts()
    request = request_of(options)
    where = Where(cluster, nodes, accelerator_type)
    machines = machines_for(request, where, interrupts, messages)
    command = f"bench.run({', '.join(f'{name}={value!r}' for name, value in options.items())})"
    folder = None if output is None else Path(output)
    session = new_session(request, machines, command, folder, report=messages.print)
    print_lines(session.plan.remarks(), messages)
    # Only the main thread can handle signals.
    is_main = threading.current_thread() is threading.main_thread()
    listening = interrupts.listening() if is_main else contextlib.nullcontext()
    with listening, observer_for(messages, len(session.trials)) as observer:
        path = session.run(observer, interrupts, messages.print)
    if interrupts.requested:
        raise KeyboardInterrupt(f"resume with: bench run --resume {path}")
    return path
