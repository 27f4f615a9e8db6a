"""Runs that measure on one machine at the same time detect each other."""

import os
import signal
import subprocess
import sys

import pytest
from support.places import ROOT

from bench.machine.other_runs import other_runs, presence


def measuring(cache) -> subprocess.Popen:
    """Start a process that announces itself and then waits to be killed."""
    code = f"""
import time
from pathlib import Path
from bench.machine.other_runs import presence
with presence(Path({str(cache)!r})):
    print("ready", flush=True)
    time.sleep(600)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.process
def test_a_run_counts_others_until_they_end_or_are_killed(tmp_path):
    with presence(tmp_path):
        assert other_runs(tmp_path) == 0
        first, second = measuring(tmp_path), measuring(tmp_path)
        assert other_runs(tmp_path) == 2
        first.send_signal(signal.SIGKILL)
        first.communicate(timeout=60)
        assert other_runs(tmp_path) == 1
        second.send_signal(signal.SIGINT)
        second.communicate(timeout=60)
        assert other_runs(tmp_path) == 0
        assert len(os.listdir(tmp_path / "measuring")) == 1, "only this run's lock is left"
    assert os.listdir(tmp_path / "measuring") == []


def test_a_run_without_a_writable_cache_is_not_detected(tmp_path):
    (tmp_path / "file").write_text("")
    with presence(tmp_path / "file"):
        assert other_runs(tmp_path / "file") == 0
