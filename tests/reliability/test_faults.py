"""Every fault of a worker, made for real in one run, and the table in docs/reliability.md.

One command runs all faults one after the other, with a trial that works among them; each test
looks at what that run left.
"""

from types import SimpleNamespace
from typing import NamedTuple

import pytest
from support.command_line import CommandLine, records
from support.places import ROOT
from support.processes import none_left, started_here

pytestmark = pytest.mark.xdist_group("faults")  # they share one run
DOCS = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- faults of a worker: begin -->", "<!-- end -->"


class Fault(NamedTuple):
    """A fault, the contender that makes it, and what its record must say.

    Attributes:
        title: in a reader's words.
        contender: backend and mode.
        outcome: of the trial.
        reason: a part of the record's reason.
        log: a part of the record's log, the stack at the fault where there is one.
    """

    title: str
    contender: str
    outcome: str
    reason: str
    log: str = ""


FAULTS = (
    Fault("raises", "fake raises", "failed", "RuntimeError: the fake framework gives up"),
    Fault(
        "exits with a status", "fake exits", "crashed", "after phase compile, with exit status 7"
    ),
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
        "hangs in native code, holding the interpreter's lock",
        "fake hangs_natively",
        "timeout",
        "after phase compile: Aborted | File",
        ") at libc",
    ),
    Fault("ignores SIGTERM, SIGINT and SIGABRT", "fake deaf", "timeout", "not done after 10 s"),
    Fault("ends, and a child holds its pipes", "fake forks", "crashed", "exit status 3"),
    Fault("ends, and a child left its session", "fake detaches", "crashed", "exit status 3"),
    Fault("hangs at its end, when all is measured", "fake lingers", "ok", ""),
    Fault("prints 4 MB", "fake shouts", "ok", ""),
    Fault("prints bytes that are no text", "fake garbles", "crashed", "not text"),
    Fault("a loss that is NaN", "fake nan", "diverged", "not a finite number"),
    Fault("an infinite loss", "fake infinite", "diverged", "not a finite number"),
    Fault("no memory left (rlimit)", "fake starved", "out_of_memory", "MemoryError"),
    Fault(
        "no memory left in native code (rlimit)",
        "fake killed_for_memory",
        "crashed",
        "killed by SIGABRT: Aborted | File",
        "std::bad_alloc",
    ),
    Fault("a layer that it lacks", "fake unsupported", "unsupported", "has no Flatten"),
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
    Fault("nothing: the trial among them", "fake works", "ok", ""),
)


BACKENDS, MODES = (
    ",".join(dict.fromkeys(fault.contender.split()[place] for fault in FAULTS)) for place in (0, 1)
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The one run: how it ended, its records by contender, and who was left behind."""
    folder = tmp_path_factory.mktemp("faults")
    command = CommandLine(folder, folder / "cache")
    contenders = ["--backends", BACKENDS, "--modes", MODES, "--repeats", "1"]
    done = command.run("run", *command.quick, *contenders, "--timeout", "10s", "--output", "out")
    left = [] if none_left(command.folder) else started_here(command.folder)
    out = command.folder / "out"
    made = {f"{record['backend']} {record['mode']}": record for record in records(out)}
    return SimpleNamespace(done=done, records=made, left=left, out=out)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.contender)
def test_the_fault_costs_one_record(run, fault):
    record = run.records[fault.contender]
    assert record["outcome"] == fault.outcome, record["reason"]
    assert fault.reason in (record["reason"] or "")
    assert fault.log in record["log"]
    assert "Traceback" not in (record["reason"] or "")


def test_a_worker_ends_without_taking_its_framework_down(run):
    # A worker that had to be killed would count too, since all was measured.
    assert run.records["fake lingers"]["exit_status"] == 0


def test_each_fault_has_its_record(run):
    assert set(run.records) == {fault.contender for fault in FAULTS}


def test_every_fault_of_the_fake_is_in_the_table(plugin):
    from evenbench_fake.session import FAULTS as MADE

    assert set(MADE) <= {fault.contender.partition(" ")[2] for fault in FAULTS}


def test_what_was_measured_before_the_fault_is_kept(run):
    kept = [record for record in run.records.values() if record["backend"] == "fake"]
    assert all(record["import_seconds"] > 0 for record in kept)


def test_the_run_went_on_and_wrote_its_report(run):
    assert run.done.returncode == 1, run.done.stderr
    assert (run.out / "report.html").exists()


def test_no_process_is_left_behind(run):
    assert run.left == []


def table() -> str:
    """The faults as docs/reliability.md shows them."""
    rows = [(f.title, f"`{f.outcome}`", _cell(f.reason), _cell(f.log)) for f in FAULTS]
    header = ("the worker", "outcome", "in the reason", "in the log"), ("---",) * 4
    return "".join(f"| {' | '.join(row)} |\n" for row in (*header, *rows))


def _cell(text: str) -> str:
    return f"`{text}`".replace("|", "\\|") if text else ""


def test_the_table_in_the_documentation_is_this_one():
    text = DOCS.read_text()
    shown = text[text.index(BEGIN) + len(BEGIN) : text.index(END)].strip()
    assert shown == table().strip(), f"docs/reliability.md: put this table there:\n{table()}"
