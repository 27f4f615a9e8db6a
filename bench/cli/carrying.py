"""Carry out what was asked of `bench run`: by options, by a run file, or by an earlier run."""

import itertools
import shlex
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from rich.console import Console

from bench import __version__
from bench.cache import cache_folder
from bench.cli.console import message_console, result_console
from bench.cli.execute import ALL_MEASURED, Execution
from bench.cli.nodes import nodes_for, resume_on, seen
from bench.cli.options import FromFile, prepared_file
from bench.cli.tables import plan_table
from bench.errors import ChoiceError
from bench.machine.other_runs import other_runs
from bench.records.manifest import Manifest, NodesChoice
from bench.records.writer import RunFolder
from bench.run.executor import LocalExecutor
from bench.run.interrupts import Interrupts
from bench.run.manifests import make_manifest
from bench.run.prepare import Request, prepare_run
from bench.run.prepared import Prepared
from bench.run.resume import Judge, Left, go_on, holding_of, resume, why_again

if TYPE_CHECKING:
    from bench.cluster.connect import Cluster


class Where(NamedTuple):
    """Where trials run: on this machine, or on which nodes of a cluster."""

    cluster: str | None
    nodes: NodesChoice
    accelerator_type: str


class Terms(NamedTuple):
    """How the command goes on, whatever is measured.

    Attributes:
        output: the folder of the run; None is one that has a name by itself.
        dry_run: print the plan and stop.
        quiet: print nothing but errors.
    """

    output: Path | None
    dry_run: bool
    quiet: bool

    @property
    def messages(self) -> Console:
        """What goes beside the results."""
        return message_console(self.quiet)


def run(verify: bool, request: Request, where: Where, terms: Terms) -> int:
    """Do what the options ask, and return the exit status."""
    messages = terms.messages
    measuring = nodes_for(request, *where, messages)
    interrupts = Interrupts()
    executor = LocalExecutor(interrupts)
    tell = None if terms.dry_run or measuring else messages.print
    prepared = prepare_run(request, executor, tell, measuring.cpus if measuring else None)
    prepared = _placed(prepared, request, measuring)
    if not prepared.trials:
        raise ChoiceError("received a choice of backends and modes that leaves nothing to run")
    _say(prepared.remarks(), messages)
    left = Left(
        prepared=prepared,
        manifest=_manifest(prepared, request, verify, measuring),
        is_begun=False,
    )
    return _carried_out(left, terms.output, terms, measuring, interrupts)


def run_file(asked: FromFile, where: Where, terms: Terms) -> int:
    """Do what is left of a run file, and return the exit status."""
    messages = terms.messages
    measuring = nodes_for(asked.request, *where, messages)
    interrupts = Interrupts()
    executor = LocalExecutor(interrupts)
    tell = None if terms.dry_run or measuring else messages.print
    prepared = prepared_file(asked, executor, tell, measuring.cpus if measuring else None)
    prepared = _placed(prepared, asked.request, measuring)
    path = terms.output or folder_of(asked.file.path)
    left = left_of(asked, prepared, path, measuring)
    _say(prepared.remarks(), messages)
    _say(remarks(left), messages)
    return _carried_out(left, path, terms, measuring, interrupts)


def left_of(
    asked: FromFile, prepared: Prepared, path: Path, measuring: "Cluster | None" = None
) -> Left:
    """What is left of a run file whose records may lie in a folder."""
    manifest = _manifest(prepared, asked.request, asked.verify, measuring)
    return go_on(path, manifest, prepared, measuring.why_again if measuring else _judge(prepared))


def remarks(left: Left) -> list[str]:
    """What the user should know of a run file that was begun."""
    if not left.is_begun:
        return []
    lines = [f"{len(left.kept)} records of this file's run hold and are not taken again"]
    return lines + [f"{name} runs again: {reason}" for name, reason in left.reasons.items()]


def folder_of(file: Path) -> Path:
    """Where the records of a run file lie."""
    return Path("runs") / file.stem


def resume_run(path: Path, cluster: str | None, terms: Terms) -> int:
    """Go on with the run in a folder, and return the exit status."""
    messages = terms.messages
    measuring = None
    if cluster is None:
        left = resume(path, None if terms.dry_run else messages.print)
    else:
        left, measuring = resume_on(path, cluster, messages)
    messages.print(
        f"{len(left.kept)} records are kept: same job, framework version, backend source and "
        "machine"
    )
    if left.manifest.suite_version != __version__:
        messages.print(
            f"Note: the run was begun by evenbench {left.manifest.suite_version}, this is "
            f"{__version__}"
        )
    _say([f"{trial} runs again: {reason}" for trial, reason in left.reasons.items()], messages)
    return _carried_out(left, path, terms, measuring, Interrupts())


def _carried_out(
    left: Left,
    path: Path | None,
    terms: Terms,
    measuring: "Cluster | None",
    interrupts: Interrupts,
) -> int:
    """Measure what is left, or print it; without a path the records get a folder of their own."""
    results, messages = result_console(terms.quiet), terms.messages
    if terms.dry_run:
        versions = left.prepared.experiment.framework_versions
        results.print(plan_table(left.prepared.trials, versions))
        return ALL_MEASURED
    prepared = left.prepared if measuring else _aware_of_others(left.prepared, messages)
    path = path or _own_folder()
    opened = RunFolder.reopen(path) if left.is_begun else RunFolder(path)
    with opened as folder, seen(measuring):
        interrupts.listen()
        notes = list(dict.fromkeys([*left.manifest.notes, *prepared.notes]))
        manifest = msgspec.structs.replace(left.manifest, notes=notes)
        folder.write_manifest(manifest)
        executor = LocalExecutor(interrupts)
        execution = Execution(executor, interrupts, folder, results, messages, measuring)
        return execution.run(prepared, manifest, left.kept)


def _say(lines: Sequence[str], messages: Console) -> None:
    for line in lines:
        messages.print(line)


def _placed(prepared: Prepared, request: Request, measuring: "Cluster | None") -> Prepared:
    return measuring.placed(prepared, request.repeats, request.seed) if measuring else prepared


def _manifest(
    prepared: Prepared, request: Request, verify: bool, measuring: "Cluster | None"
) -> Manifest:
    choice = measuring.choice if measuring else None
    return make_manifest(prepared, request, _typed(), verify, choice)


def _judge(prepared: Prepared) -> Judge:
    """Why a record does not hold on this machine."""
    here = holding_of(prepared.experiment.recipes)
    return lambda record: why_again(record, [here])


def _typed() -> str:
    """The command as typed; bytes that are no text are shown as such."""
    typed = shlex.join(["python", "-m", "bench", *sys.argv[1:]])
    return typed.encode("utf-8", "backslashreplace").decode()


def _own_folder() -> Path:
    """runs/<UTC timestamp>, with a number where another run of that second has it.

    The folder is made here, so that of several runs at once each has one.
    """
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    names = (f"{stamp}-{number}" for number in itertools.count(2))
    for path in (Path("runs") / name for name in itertools.chain([stamp], names)):
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError:
            pass  # who opens it says why it cannot be
        return path
    raise AssertionError("numbers do not end")


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
