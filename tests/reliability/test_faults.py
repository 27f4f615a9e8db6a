"""Every worker fault, caused for real in one run, and the table in docs/reliability.md.

One command runs all faults one after the other, together with a healthy trial. Each test checks
the records, files and processes of that run.
"""

from types import SimpleNamespace
from typing import NamedTuple

import pytest
from support.command_line import CommandLine, records
from support.places import ROOT
from support.processes import none_left, started_here

DOCS = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- faults of a worker: begin -->", "<!-- end -->"


class Fault(NamedTuple):
    """A fault, the contender that causes it, and the expected record.

    Attributes:
        title: name of the fault in the table.
        contender: backend and mode.
        outcome: expected outcome of the trial.
        reason: text that the record's reason contains.
        log: text that the record's log contains: a stack frame of the fault if there is one.
    """

    title: str
    contender: str
    outcome: str
    reason: str
    log: str = ""


FAULTS = (
    Fault("raises", "fake raises", "failed", "RuntimeError: the fake framework gives up"),
    Fault("exits with a status", "fake exits", "crashed", "with exit status 7"),
    Fault(
        "segmentation fault",
        "fake segfaults",
        "crashed",
        "killed by SIGSEGV: Segmentation fault | File",
        "in segfaults",
    ),
    Fault(
        "segmentation fault inside a native library",
        "fake segfaults_natively",
        "crashed",
        "killed by SIGSEGV: Segmentation fault | File",
        "in segfaults_natively",
    ),
    Fault(
        "a native library aborts",
        "fake aborts",
        "crashed",
        "killed by SIGABRT: Aborted | File",
        "in aborts",
    ),
    Fault("killed with SIGKILL", "fake killed", "crashed", "killed by SIGKILL"),
    Fault("hangs in Python", "fake hangs", "timeout", "not done after 10 s", "in hangs"),
    Fault(
        "hangs in native code while holding the GIL",
        "fake hangs_natively",
        "timeout",
        ": Aborted | File",
        ") at libc",
    ),
    Fault("ignores SIGTERM, SIGINT and SIGABRT", "fake deaf", "timeout", "not done after 10 s"),
    Fault(
        "exits while a child process keeps its pipes open", "fake forks", "crashed", "exit status 3"
    ),
    Fault(
        "exits after a child process left its session", "fake detaches", "crashed", "exit status 3"
    ),
    Fault("hangs at exit, after all measurements", "fake lingers", "ok", ""),
    Fault("prints 4 MB", "fake shouts", "ok", ""),
    Fault("prints bytes that are not text", "fake garbles", "crashed", "not text"),
    Fault("a loss that is NaN", "fake nan", "diverged", "not a finite number"),
    Fault("an infinite loss", "fake infinite", "diverged", "not a finite number"),
    Fault("out of memory (rlimit)", "fake starved", "out_of_memory", "MemoryError"),
    Fault(
        "out of memory in native code (rlimit)",
        "fake killed_for_memory",
        "crashed",
        "killed by SIGABRT: Aborted | File",
        "std::bad_alloc",
    ),
    Fault("an unsupported layer", "fake unsupported", "unsupported", "has no Flatten"),
    Fault("import: a module is missing", "broken works", "unavailable", "No module named"),
    Fault(
        "import: built for another NumPy", "mismatched works", "unavailable", "built for NumPy 1.x"
    ),
    Fault(
        "import: ends the interpreter",
        "quitting works",
        "crashed",
        "in phase import, with exit status 1: the licence",
    ),
    Fault(
        "import: the native library crashes",
        "dying works",
        "crashed",
        "in phase import, killed by SIGSEGV: Segmentation fault",
        "dying.py",
    ),
    Fault("import: hangs", "stuck works", "timeout", "in phase import", "stuck.py"),
    Fault("exits in a slice", "fake exits_later", "crashed", "warm-up, with exit status 7"),
    Fault("hangs in a slice", "fake hangs_later", "timeout", "not done after 10 s", "in hangs"),
    Fault("out of memory in a slice", "fake starved_later", "out_of_memory", "MemoryError"),
    Fault("no fault: a healthy trial in the same run", "fake works", "ok", ""),
)


BACKENDS, MODES = (
    ",".join(dict.fromkeys(fault.contender.split()[place] for fault in FAULTS)) for place in (0, 1)
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Run all faults once: the command's result, records by contender, remaining processes."""
    folder = tmp_path_factory.mktemp("faults")
    command = CommandLine(folder, folder / "cache")
    contenders = ["--backends", BACKENDS, "--modes", MODES, "--repeats", "1"]
    done = command.run("run", *command.quick, *contenders, "--timeout", "10s", "--output", "out")
    left = [] if none_left(command.folder) else started_here(command.folder)
    out = command.folder / "out"
    made = {f"{record['backend']} {record['mode']}": record for record in records(out)}
    return SimpleNamespace(done=done, records=made, left=left, out=out)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.contender)
def test_a_fault_is_recorded_with_its_outcome_reason_and_log(run, fault):
    record = run.records[fault.contender]
    assert record["outcome"] == fault.outcome, record["reason"]
    assert fault.reason in (record["reason"] or "")
    assert fault.log in record["log"]
    assert "Traceback" not in (record["reason"] or "")


def test_a_worker_exits_without_waiting_for_framework_shutdown(run):
    # A killed worker would also have outcome "ok", since all measurements were complete.
    assert run.records["fake lingers"]["exit_status"] == 0


def test_every_fault_has_one_record(run):
    assert set(run.records) == {fault.contender for fault in FAULTS}


def test_every_fault_of_the_fake_backend_is_in_the_table(plugin):
    from evenbench_fake.session import FAULTS as MADE

    assert set(MADE) <= {fault.contender.partition(" ")[2] for fault in FAULTS}


def test_measurements_before_the_fault_are_recorded(run):
    kept = [record for record in run.records.values() if record["backend"] == "fake"]
    assert all(record["import_seconds"] > 0 for record in kept)


def test_the_run_continues_after_faults_and_writes_a_report(run):
    assert run.done.returncode == 1, run.done.stderr
    assert (run.out / "report.html").exists()


def test_no_process_remains_after_the_run(run):
    assert run.left == []


def table() -> str:
    """Format the faults as the table of docs/reliability.md."""
    rows = [(f.title, f"`{f.outcome}`", _cell(f.reason), _cell(f.log)) for f in FAULTS]
    header = ("the worker", "outcome", "in the reason", "in the log"), ("---",) * 4
    return "".join(f"| {' | '.join(row)} |\n" for row in (*header, *rows))


def _cell(text: str) -> str:
    return f"`{text}`".replace("|", "\\|") if text else ""


def test_the_documented_table_matches_the_faults():
    text = DOCS.read_text()
    shown = text[text.index(BEGIN) + len(BEGIN) : text.index(END)].strip()
    assert shown == table().strip(), f"docs/reliability.md: put this table there:\n{table()}"
