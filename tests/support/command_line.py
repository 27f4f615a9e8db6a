"""The command line, driven by tests: in this process, or in processes of its own.

`bench("run", ...)` calls the command in the test's process, which is quick. `bench.start` and
`bench.run` start `python -m bench` as a user does, for tests whose point is the process.
"""

import contextlib
import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from unittest.mock import patch

from bench.cli import main
from bench.run.interrupts import SIGNALS
from support.idx_files import small_arrays, write_set
from support.places import PLUGIN, ROOT

_MODEL = """
from bench.spec.layers import Dense, Flatten, sequential

def quick(classes):
    return sequential(Flatten(), Dense(classes))
"""
_SECONDS = 300  # the longest that a command may take


class CommandLine:
    """The command line in a folder, with the fake backend installed.

    Attributes:
        folder: the working folder. Every process that is started names it in its environment, so
            that `support.processes` can find what is left of it.
        environment: variables in addition to this process's own.
    """

    def __init__(self, folder: Path, cache: Path | None = None) -> None:
        """Drive the command line in a folder.

        Args:
            folder: the working folder.
            cache: the cache folder; without one, the cache of this process.
        """
        self.folder = folder
        self.environment = {"PYTHONPATH": os.pathsep.join(map(str, (PLUGIN, ROOT, folder)))}
        if cache is not None:
            self.environment["EVENBENCH_CACHE"] = str(cache)

    @property
    def quick(self) -> list[str]:
        """The options of a run whose trials take a second or two."""
        if not (self.folder / "set").exists():
            write_set(self.folder / "set", small_arrays(64, 20))
            (self.folder / "model.py").write_text(_MODEL)
        data = ["--data-dir", str(self.folder / "set"), "--models", "model.py:quick"]
        return [*data, "--batch-sizes", "16", "--epochs", "1", "--rounds", "2", "--no-verify"]

    def __call__(self, *arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess:
        """Call the command in this process, in which an unexpected error fails the test."""
        typed = [str(each) for each in arguments]
        out, err = _text_file("strict"), _text_file("backslashreplace")
        with (
            contextlib.chdir(cwd or self.folder),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            patch.object(sys, "argv", ["bench", *typed]),
            patch.dict(os.environ, self.environment),
            _signal_handlers_restored(),
        ):
            status = main()
        return _without_traceback(typed, status, _text_of(out), _text_of(err))

    def start(
        self, *arguments: object, environment: Mapping[str, str] | None = None, **options
    ) -> subprocess.Popen:
        """Start the command in a new process, whose output goes to pipes unless options differ.

        Args:
            arguments: what the user types after `python -m bench`.
            environment: further variables.
            options: those of `subprocess.Popen`.
        """
        return self.start_python("-m", "bench", *arguments, environment=environment, **options)

    def start_python(
        self, *arguments: object, environment: Mapping[str, str] | None = None, **options
    ) -> subprocess.Popen:
        """Start Python where and as the command line would be started."""
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "cwd": self.folder}
        return subprocess.Popen(
            [sys.executable, *map(str, arguments)],
            text=True,
            env={**os.environ, **self.environment, **(environment or {})},
            **{**pipes, **options},
        )

    def run(
        self, *arguments: object, timeout: float = _SECONDS, **options
    ) -> subprocess.CompletedProcess:
        """Run the command in a new process to its end; see `start`."""
        return finished(self.start(*arguments, **options), timeout)


def _text_file(errors: str) -> io.TextIOWrapper:
    """Make a file like a standard stream, which also takes bytes."""
    return io.TextIOWrapper(io.BytesIO(), "utf-8", errors, write_through=True)


def _text_of(file: io.TextIOWrapper) -> str:
    return file.buffer.getvalue().decode()


@contextlib.contextmanager
def _signal_handlers_restored() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def finished(process: subprocess.Popen, timeout: float = _SECONDS) -> subprocess.CompletedProcess:
    """Wait for the end of a process, which must not have shown a traceback."""
    out, err = process.communicate(timeout=timeout)
    return _without_traceback(process.args, process.returncode, out or "", err or "")


def _without_traceback(
    arguments: list[str], status: int, out: str, err: str
) -> subprocess.CompletedProcess:
    assert "Traceback" not in out + err, f"{shlex.join(arguments)}\n{err}"
    return subprocess.CompletedProcess(arguments, status, out, err)


def records(folder: Path) -> list[dict]:
    """Read the records of a run folder, each with the fields of its job at the top level.

    A torn last line would not be JSON.
    """
    lines = (folder / "trials.jsonl").read_bytes().splitlines()
    return [{**record["job"], **record} for record in map(json.loads, lines)]


def wait_for_output(process: subprocess.Popen, pattern: str, times: int = 1) -> list[str]:
    """Read the messages of a process until a pattern has appeared, and return the matches.

    Args:
        process: started with a pipe for its standard error.
        pattern: a regular expression.
        times: how often it must appear.
    """
    caught = []
    for line in process.stderr:
        caught += re.findall(pattern, line)
        if len(caught) >= times:
            return caught
    raise AssertionError(f"the process ended after {pattern!r} had appeared {len(caught)} times")
