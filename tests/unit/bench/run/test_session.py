"""A session started by options, a run file or --resume: how deep the call stack of a worker is."""

import inspect
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import bench
from bench.cli import main
from bench.run import executor

SUITE = Path(bench.__file__).parent
MOST_FRAMES = 7  # main and the function that starts the process included


@pytest.fixture
def starts(monkeypatch):
    """Record the call stack at each attempt to start a worker, outermost first; none starts."""
    recorded = []

    def refuse(*_, **__):
        files = [(Path(each.filename), each.function) for each in inspect.stack()[1:]]
        own = [name for path, name in reversed(files) if path.is_relative_to(SUITE)]
        recorded.append(own[own.index("main") :])
        raise OSError(0, "no process in this test")

    kept = {name: getattr(subprocess, name) for name in ("PIPE", "STDOUT", "TimeoutExpired")}
    monkeypatch.setattr(executor, "subprocess", SimpleNamespace(Popen=refuse, **kept))
    return recorded


@pytest.mark.parametrize("source", ["options", "run file", "resume"])
def test_the_call_stack_from_main_to_a_worker_start_is_short(
    starts, tiny, tmp_path, monkeypatch, cache, source
):
    monkeypatch.chdir(tmp_path)
    options = [*tiny, "--backends", "numpy", "--repeats", "1", "--output", "out"]
    file = 'run = {epochs = 1, repeats = 1, data_dir = "tiny"}\n'
    file += '[matrix]\nbackends = "numpy"\nmodels = "models.py:tiny"\nbatch_sizes = 16\n'
    Path("file.toml").write_text(file)
    typed = {"options": options, "run file": ["file.toml"], "resume": ["--resume", "out"]}
    if source == "resume":
        monkeypatch.setattr(sys, "argv", ["bench", "run", *options])
        main()
        starts.clear()
    monkeypatch.setattr(sys, "argv", ["bench", "run", *typed[source]])
    assert main() == 3, "no trial can be measured"
    kinds = {stack[-2] for stack in starts}
    assert kinds == {"_start", "_work"}, "trials, and what precedes them"
    longest = max(starts, key=len)
    assert len(longest) <= MOST_FRAMES, longest
