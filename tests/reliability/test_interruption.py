"""Signals, a closed terminal, concurrent runs, a lost folder, a full disk and a changing clock."""

import os
import shutil
import signal
import time
from pathlib import Path

import pytest
from support.command_line import finished, records
from support.processes import none_left

from bench.records.reader import read_run

BACKWARD_CLOCK = """
import time
from pathlib import Path
_true, _calls = time.time, [0]

def _back():
    _calls[0] += 1
    return _true() - 3600.0 * _calls[0]

time.time = _back
time.time_ns = lambda: int(_back() * 1e9)
"""
# One after the other, the second trial hangs. In rounds, the second repeat takes some seconds.
ONE_BY_ONE = ["--modes", "works,hangs", "--repeats", "3", "--rounds", "0"]
IN_ROUNDS = ["--modes", "works,steady", "--repeats", "3", "--rounds", "9"]
both_ways = pytest.mark.parametrize("way", [ONE_BY_ONE, IN_ROUNDS], ids=["alone", "in rounds"])


def wait_for_records(bench, process, number=1) -> None:
    """Wait until the folder `out` has `number` records."""
    trials = bench.folder / "out" / "trials.jsonl"
    deadline = time.monotonic() + 60
    while not trials.exists() or trials.read_bytes().count(b"\n") < number:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def start_long_run(bench, way=ONE_BY_ONE, **options):
    """Start a run and wait until it has a record and its next workers run."""
    typed = [*bench.quick, "--backends", "fake", *way, "--output", "out"]
    process = bench.start("run", *typed, **options)
    wait_for_records(bench, process)
    time.sleep(1)
    return process


@pytest.mark.parametrize(
    ("number", "way"),
    [
        (signal.SIGINT, ONE_BY_ONE),
        (signal.SIGINT, IN_ROUNDS),
        (signal.SIGTERM, IN_ROUNDS),
        (signal.SIGHUP, IN_ROUNDS),
    ],
)
def test_one_signal_writes_an_interrupted_record_and_the_report(bench, number, way):
    process = start_long_run(bench, way)
    process.send_signal(number)
    done = finished(process)
    out = bench.folder / "out"
    assert done.returncode == 130
    assert records(out)[-1]["outcome"] == "interrupted"
    assert (out / "report.html").exists()
    assert "bench run --resume out" in done.stderr
    assert none_left(bench.folder)


def test_a_resumed_run_adds_repeats_until_its_pair_is_decided(bench):
    way = ["--modes", "works,steady", "--time", "2m"]
    process = start_long_run(bench, way)
    process.send_signal(signal.SIGINT)
    assert finished(process).returncode == 130
    out = bench.folder / "out"
    assert {record["outcome"] for record in records(out)[2:]} == {"interrupted"}
    assert not read_run(out).manifest.time_limit.ended
    done = bench.run("run", "--resume", "out")
    assert done.returncode == 0, done.stderr
    run = read_run(out)
    (end,) = run.manifest.time_limit.ended.values()
    assert end.reason == "every pair is decided"
    assert {trial.trial for trial in run.trials} == {each.name for each in run.manifest.plan}
    assert {trial.outcome for trial in run.trials} == {"ok"}
    assert none_left(bench.folder)


@both_ways
def test_a_second_interrupt_exits_at_once_without_partial_files(bench, way):
    process = start_long_run(bench, way)
    process.send_signal(signal.SIGINT)
    time.sleep(0.15)
    process.send_signal(signal.SIGINT)
    assert finished(process).returncode == 130
    out = bench.folder / "out"
    run = read_run(out)
    assert {trial.outcome for trial in run.trials} <= {"ok", "interrupted"}
    for name in ("report.html", "report.md"):
        assert not (out / name).exists() or (out / name).read_text().rstrip()
    assert [path.name for path in out.glob(".*partial")] == []
    assert none_left(bench.folder)


def test_a_closed_terminal_loses_only_the_printed_output(bench):
    master, slave = os.openpty()
    process = start_long_run(bench, IN_ROUNDS, stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    os.close(master)  # from now on writing to the terminal is an error
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGHUP)  # the kernel and the shell each send it
    assert process.wait(60) == 130
    out = bench.folder / "out"
    assert records(out)[-1]["outcome"] == "interrupted"
    assert (out / "report.html").exists()
    assert none_left(bench.folder)


def test_a_closed_output_pipe_does_not_end_the_run(bench):
    reading, writing = os.pipe()
    options = [*bench.quick, "--backends", "fake", "--repeats", "2", "--output", "out"]
    process = bench.start("run", *options, stdout=writing, stderr=writing)
    os.close(writing)
    os.close(reading)
    assert process.wait(60) == 0
    assert len(records(bench.folder / "out")) == 2
    assert (bench.folder / "out" / "report.html").exists()


def test_concurrent_runs_are_reported_and_recorded(bench):
    first = start_long_run(bench)
    done = bench.run(
        "run", *bench.quick, "--backends", "fake", "--repeats", "1", "--output", "second"
    )
    first.send_signal(signal.SIGINT)
    assert finished(first).returncode == 130
    assert done.returncode == 0
    assert "another run was measuring on this machine" in done.stderr
    second = read_run(bench.folder / "second")
    assert any("another run was measuring" in note for note in second.manifest.notes)
    assert {trial.other_runs for trial in second.trials} == {1}
    alone = bench.run(
        "run", *bench.quick, "--backends", "fake", "--repeats", "1", "--output", "third"
    )
    assert "another run" not in alone.stderr
    assert {trial["other_runs"] for trial in records(bench.folder / "third")} == {0}


def test_a_second_run_into_the_same_folder_is_rejected(bench):
    first = start_long_run(bench)
    arguments = ("--output", "out"), ("--resume", "out")
    fresh = bench.run("run", *bench.quick, "--backends", "fake", *arguments[0])
    again = bench.run("run", *arguments[1])
    first.send_signal(signal.SIGINT)
    finished(first)
    assert (fresh.returncode, again.returncode) == (2, 2)
    assert "the folder is not empty" in " ".join(fresh.stderr.split())
    assert "another run is writing to this folder" in " ".join(again.stderr.split())
    assert {record["mode"] for record in records(bench.folder / "out")} <= {"works", "hangs"}


def test_runs_started_in_the_same_second_get_separate_folders(bench):
    options = [*bench.quick, "--backends", "fake", "--repeats", "1", "--rounds", "0"]
    processes = [bench.start("run", *options) for _ in range(3)]
    assert [finished(process).returncode for process in processes] == [0, 0, 0]
    assert len(list((bench.folder / "runs").iterdir())) == 3


def test_a_removed_output_folder_ends_the_run_and_saves_the_record_elsewhere(bench):
    options = ["--backends", "fake", "--repeats", "50", "--rounds", "0", "--output", "out"]
    process = bench.start("run", *bench.quick, *options)
    # A second file is written after the first record: wait until it exists.
    wait_for_records(bench, process, 2)
    # Rename the folder first: the run adds no file to the renamed one while it is removed.
    gone = (bench.folder / "out").rename(bench.folder / "gone")
    shutil.rmtree(gone)
    done = finished(process)
    assert done.returncode == 2
    assert "it was removed; the record was saved to" in " ".join(done.stderr.split())
    rescued = done.stderr.split("the record was saved to ")[1].split()[0]
    assert '"outcome":"ok"' in Path(rescued).read_text()
    os.unlink(rescued)
    assert none_left(bench.folder)


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)),) * 2)
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from bench.cli import main
sys.exit(main())
"""


def test_a_full_disk_ends_the_run_and_preserves_the_records(bench):
    """A file size limit stands for a full disk: a later record does not fit."""
    options = [*bench.quick, "--backends", "fake", "--repeats", "9", "--rounds", "0"]
    options += ["--output", "out"]
    assert bench.run("run", *options, "--dry-run").returncode == 0  # decodes the data
    done = finished(bench.start_python("-c", LIMITED, 8000, "run", *options))
    assert done.returncode == 2
    assert "trials.jsonl: cannot be written: File too large" in done.stderr
    run = read_run(bench.folder / "out")
    assert run.trials
    assert {trial.outcome for trial in run.trials} == {"ok"}
    assert bench.run("run", "--resume", "out").returncode == 0
    assert len(read_run(bench.folder / "out").trials) == 9
    assert none_left(bench.folder)


def test_a_worker_that_cannot_be_started_is_recorded_as_failed(bench):
    environment = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), "/nowhere")
    options = [*bench.quick, "--backends", "fake", "--repeats", "1", "--output", "out"]
    blocked = (
        "import tempfile, sys; tempfile._candidate_tempdir_list = lambda: ['/nowhere'];"
        "from bench.cli import main; sys.exit(main())"
    )
    process = bench.start_python("-c", blocked, "run", *options, environment=environment)
    assert finished(process).returncode == 3
    (record,) = records(bench.folder / "out")
    assert record["outcome"] == "failed"
    assert "could not be started: no folder for temporary files" in record["reason"]


@pytest.mark.parametrize("place", ["file/out", "/proc/out"])
def test_an_unwritable_output_folder_is_rejected_at_once(bench, place):
    (bench.folder / "file").write_text("")
    done = bench.run("run", *bench.quick, "--backends", "fake", "--output", place)
    assert done.returncode == 2
    assert "cannot be the run's folder" in done.stderr


@pytest.mark.parametrize("damage", ["no folder", "rubbish"])
def test_an_invalid_cache_does_not_fail_the_run(bench, damage):
    cache = bench.folder / "cache"
    options = [option for option in bench.quick if option != "--no-verify"]
    options += ["--backends", "numpy", "--repeats", "1", "--rounds", "0"]
    if damage == "no folder":
        cache.write_text("")
    else:
        assert bench.run("run", *options, "--output", "first").returncode == 0
        for path in cache.rglob("*"):
            if path.is_file():
                path.write_bytes(b"rubbish")
    done = bench.run("run", *options, "--output", "out")
    assert done.returncode == 0, done.stderr
    (record,) = records(bench.folder / "out")
    assert (record["outcome"], record["equivalence"]) == ("ok", "passed")
    assert ("cannot be written" in done.stderr) == (damage == "no folder")


def test_a_wall_clock_that_goes_back_changes_no_duration(bench):
    """Each reading of the wall clock, in runner and workers, is an hour before the previous one."""
    (bench.folder / "sitecustomize.py").write_text(BACKWARD_CLOCK)
    options = [*bench.quick, "--backends", "fake,numpy", "--repeats", "2", "--output", "out"]
    assert bench.run("run", *options).returncode == 0
    made = records(bench.folder / "out")
    assert {record["outcome"] for record in made} == {"ok"}
    for record in made:
        durations = [value for name, value in record.items() if name.endswith("_seconds")]
        measured = [value for value in durations if isinstance(value, float)]
        assert len(measured) >= (6 if record["repeat"] == 1 else 3)
        assert all(0 <= value < 300 for value in measured)
    assert bench.run("run", "--resume", "out").returncode == 0
    assert len(records(bench.folder / "out")) == 4
