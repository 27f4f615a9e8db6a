"""The command line in processes that a folder finds again, and the options of a quick run."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from support.idx_files import small_arrays, write_set
from support.places import PLUGIN, ROOT

_MODEL = """
from bench.spec.layers import Dense, Flatten, sequential

def quick(classes):
    return sequential(Flatten(), Dense(classes))
"""


class Command:
    """`python -m bench` in a folder of its own, with a cache and a quick data set there.

    Attributes:
        folder: where it runs; every process that it starts names it in its environment.
        quick: the options of a run whose trials take a part of a second.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        write_set(folder / "set", small_arrays(64, 20))
        (folder / "model.py").write_text(_MODEL)
        data = ["--data-dir", str(folder / "set"), "--models", "model.py:quick"]
        self.quick = [*data, "--batch-sizes", "16", "--epochs", "1", "--no-verify"]
        self.environment = {
            **os.environ,
            "EVENBENCH_CACHE": str(folder / "cache"),
            "PYTHONPATH": os.pathsep.join(map(str, (PLUGIN, ROOT, folder))),
        }

    def start(self, *arguments: str, environment=None, **options) -> subprocess.Popen:
        """Start it; its output goes to pipes unless the options say otherwise."""
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(
            [sys.executable, "-m", "bench", *map(str, arguments)],
            text=True,
            cwd=self.folder,
            env={**self.environment, **(environment or {})},
            **{**pipes, **options},
        )

    def run(self, *arguments: str, **options) -> subprocess.CompletedProcess:
        """Run it to its end, which shows no traceback."""
        process = self.start(*arguments, **options)
        return finished(process)


def finished(process: subprocess.Popen) -> subprocess.CompletedProcess:
    """The process once it has ended, having shown no traceback."""
    out, err = process.communicate(timeout=300)
    assert "Traceback" not in (out or "") + (err or ""), err
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def records(folder: Path) -> list[dict]:
    """The records of a run folder; a torn last line would not be JSON."""
    return [json.loads(line) for line in (folder / "trials.jsonl").read_bytes().splitlines()]


def told(process, pattern, times=1) -> list[str]:
    """Read what the command says until it has said this so often; what the pattern caught."""
    caught = []
    for line in process.stderr:
        caught += re.findall(pattern, line)
        if len(caught) >= times:
            return caught
    raise AssertionError(f"it ended and said {pattern!r} {len(caught)} times")
