"""A real disturbance of a whole run: one busy process per CPU, from start to end."""

import contextlib
import subprocess
import sys

import pytest
from support.command_line import records

from bench.machine.hardware import usable_cpus
from bench.worker.usage import read_usage, usage_since


@contextlib.contextmanager
def every_cpu_busy():
    """Keep every CPU busy with one process each."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in usable_cpus()]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def test_a_disturbed_trial_is_flagged_retried_and_reported(bench):
    if usage_since(read_usage()).other_seconds is None:
        pytest.skip("this system does not report the CPU time of other processes")
    # The steps of the fake backend sleep, so the trial itself causes no CPU load.
    options = ["--backends", "fake", "--modes", "steady", "--rounds", "0", "--repeats", "1"]
    options += ["--retries", "1", "--output", "out"]
    with every_cpu_busy():
        done = bench.run("run", *bench.quick, *options)
    assert done.returncode == 0, done.stderr
    (record,) = records(bench.folder / "out")
    assert record["outcome"] == "ok"
    assert "other processes" in record["noise"]["flags"]
    (attempt,) = record["noise"]["attempts"]
    assert "other processes" in attempt["flags"]
    assert attempt["throughput_images_per_second"] > 0
    assert "so it is retried" in done.stderr
    report = (bench.folder / "out" / "report.md").read_text()
    assert "1 of 1 trial stayed disturbed" in report
    assert "1 measurement of disturbed trials was retried" in report
