"""Signals, a closed terminal, two runs at once, a folder and a clock that change under a run."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.commands import Command, finished, records
from support.processes import none_left

from bench.records.reader import read_run

CLOCK_THAT_GOES_BACK = """
import time
from pathlib import Path
_true, _calls = time.time, [0]

def _back():
    _calls[0] += 1
    return _true() - 3600.0 * _calls[0]

time.time = _back
time.time_ns = lambda: int(_back() * 1e9)
"""
WORKS_THEN_HANGS = ["--backends", "fake", "--modes", "works,hangs", "--repeats", "3"]


@pytest.fixture
def command(tmp_path):
    return Command(tmp_path)


def first_record(command, process, number=1) -> None:
    """Wait until so many records are in the folder `out`."""
    trials = command.folder / "out" / "trials.jsonl"
    deadline = time.monotonic() + 60
    while not trials.exists() or trials.read_bytes().count(b"\n") < number:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def hanging(command, **options):
    """A run with a record, whose worker hangs now or soon."""
    process = command.start("run", *command.quick, *WORKS_THEN_HANGS, "--output", "out", **options)
    first_record(command, process)
    time.sleep(1)
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_one_signal_finishes_record_and_report(command, number):
    process = hanging(command)
    process.send_signal(number)
    done = finished(process)
    out = command.folder / "out"
    assert done.returncode == 130
    assert records(out)[-1]["outcome"] == "interrupted"
    assert (out / "report.html").exists()
    assert "bench run --resume out" in done.stderr
    assert none_left(command.folder)


def test_a_second_interrupt_stops_now_and_tears_nothing(command):
    process = hanging(command)
    process.send_signal(signal.SIGINT)
    time.sleep(0.15)
    process.send_signal(signal.SIGINT)
    assert finished(process).returncode == 130
    out = command.folder / "out"
    run = read_run(out)
    assert {trial.outcome for trial in run.trials} <= {"ok", "interrupted"}
    for name in ("report.html", "report.md"):
        assert not (out / name).exists() or (out / name).read_text().rstrip()
    assert [path.name for path in out.glob(".*partial")] == []
    assert none_left(command.folder)


def test_a_closed_terminal_costs_only_what_is_printed(command):
    master, slave = os.openpty()
    process = hanging(command, stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    os.close(master)  # from now on writing to the terminal is an error
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGHUP)  # the kernel and the shell both tell it
    assert process.wait(60) == 130
    out = command.folder / "out"
    assert records(out)[-1]["outcome"] == "interrupted"
    assert (out / "report.html").exists()
    assert none_left(command.folder)


def test_a_reader_that_went_away_does_not_end_the_run(command):
    reading, writing = os.pipe()
    options = [*command.quick, "--backends", "fake", "--repeats", "2", "--output", "out"]
    process = command.start("run", *options, stdout=writing, stderr=writing)
    os.close(writing)
    os.close(reading)
    assert process.wait(60) == 0
    assert len(records(command.folder / "out")) == 2
    assert (command.folder / "out" / "report.html").exists()


def test_two_runs_at_once_are_told_and_recorded(command):
    first = hanging(command)
    done = command.run("run", *command.quick, "--backends", "fake", "--output", "second")
    first.send_signal(signal.SIGINT)
    assert finished(first).returncode == 130
    assert done.returncode == 0
    assert "another run was measuring on this machine" in done.stderr
    second = read_run(command.folder / "second")
    assert any("another run was measuring" in note for note in second.manifest.notes)
    assert {trial.other_runs for trial in second.trials} == {1}
    alone = command.run("run", *command.quick, "--backends", "fake", "--output", "third")
    assert "another run" not in alone.stderr
    assert {trial["other_runs"] for trial in records(command.folder / "third")} == {0}


def test_two_runs_into_one_folder_are_one_run(command):
    first = hanging(command)
    arguments = ("--output", "out"), ("--resume", "out")
    fresh = command.run("run", *command.quick, "--backends", "fake", *arguments[0])
    again = command.run("run", *arguments[1])
    first.send_signal(signal.SIGINT)
    finished(first)
    assert (fresh.returncode, again.returncode) == (2, 2)
    assert "expected a new or empty one" in fresh.stderr
    assert "another run is writing to this folder" in again.stderr
    assert {record["mode"] for record in records(command.folder / "out")} <= {"works", "hangs"}


def test_runs_of_one_second_get_folders_of_their_own(command):
    options = [*command.quick, "--backends", "fake", "--repeats", "1"]
    processes = [command.start("run", *options) for _ in range(3)]
    assert [finished(process).returncode for process in processes] == [0, 0, 0]
    assert len(list((command.folder / "runs").iterdir())) == 3


def test_a_folder_that_vanishes_ends_the_run_with_the_record_kept(command):
    process = command.start(
        "run", *command.quick, "--backends", "fake", "--repeats", "50", "--output", "out"
    )
    first_record(command, process, 2)  # the first has a file beside it, written just after
    gone = (command.folder / "out").rename(command.folder / "gone")  # where the run adds no file
    shutil.rmtree(gone)
    done = finished(process)
    assert done.returncode == 2
    assert "it was removed; the record was saved to" in " ".join(done.stderr.split())
    rescued = done.stderr.split("the record was saved to ")[1].split()[0]
    assert '"outcome":"ok"' in Path(rescued).read_text()
    os.unlink(rescued)
    assert none_left(command.folder)


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)),) * 2)
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from bench.cli import main
sys.exit(main())
"""


def test_a_disk_that_fills_up_keeps_what_was_measured(command):
    """No file may grow beyond some size: the second record finds no room."""
    options = [*command.quick, "--backends", "fake", "--repeats", "9", "--output", "out"]
    assert command.run("run", *options, "--dry-run").returncode == 0  # decodes the data
    process = subprocess.Popen(
        [sys.executable, "-c", LIMITED, "8000", "run", *options],
        cwd=command.folder,
        env=command.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    done = finished(process)
    assert done.returncode == 2
    assert "trials.jsonl: cannot be written: File too large" in done.stderr
    run = read_run(command.folder / "out")
    assert run.trials
    assert {trial.outcome for trial in run.trials} == {"ok"}
    assert command.run("run", "--resume", "out").returncode == 0
    assert len(read_run(command.folder / "out").trials) == 9
    assert none_left(command.folder)


def test_no_room_for_a_worker_costs_its_record(command):
    environment = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), "/nowhere")
    options = [*command.quick, "--backends", "fake", "--repeats", "1", "--output", "out"]
    blocked = (
        "import tempfile, sys; tempfile._candidate_tempdir_list = lambda: ['/nowhere'];"
        "from bench.cli import main; sys.exit(main())"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", blocked, "run", *options],
        cwd=command.folder,
        env={**command.environment, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert finished(process).returncode == 3
    (record,) = records(command.folder / "out")
    assert record["outcome"] == "failed"
    assert "could not be started: no folder for temporary files" in record["reason"]


@pytest.mark.parametrize("place", ["file/out", "/proc/out"])
def test_a_folder_that_cannot_be_written_is_refused_at_once(command, place):
    (command.folder / "file").write_text("")
    done = command.run("run", *command.quick, "--backends", "fake", "--output", place)
    assert done.returncode == 2
    assert "cannot be the run's folder" in done.stderr


@pytest.mark.parametrize("damage", ["no folder", "rubbish"])
def test_a_cache_that_is_of_no_use_costs_only_time(command, damage):
    cache = command.folder / "cache"
    options = [option for option in command.quick if option != "--no-verify"]
    options += ["--backends", "numpy", "--repeats", "1"]
    if damage == "no folder":
        cache.write_text("")
    else:
        assert command.run("run", *options, "--output", "first").returncode == 0
        for path in cache.rglob("*"):
            if path.is_file():
                path.write_bytes(b"rubbish")
    done = command.run("run", *options, "--output", "out")
    assert done.returncode == 0, done.stderr
    (record,) = records(command.folder / "out")
    assert (record["outcome"], record["equivalence"]) == ("ok", "passed")
    assert ("cannot be written" in done.stderr) == (damage == "no folder")


def test_a_clock_that_goes_back_changes_no_duration(command):
    """Each call of the wall clock, in the runner and in the workers, is an hour earlier."""
    (command.folder / "sitecustomize.py").write_text(CLOCK_THAT_GOES_BACK)
    options = [*command.quick, "--backends", "fake,numpy", "--repeats", "2", "--output", "out"]
    assert command.run("run", *options).returncode == 0
    made = records(command.folder / "out")
    assert {record["outcome"] for record in made} == {"ok"}
    for record in made:
        durations = [value for name, value in record.items() if name.endswith("_seconds")]
        measured = [value for value in durations if isinstance(value, float)]
        assert len(measured) >= 6
        assert all(0 <= value < 300 for value in measured)
    assert command.run("run", "--resume", "out").returncode == 0
    assert len(records(command.folder / "out")) == 4
