"""Write the largest file of a report in a second process, to use a second CPU."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.errors import RecordError
from reports.documents.run_report import Edition
from reports.exports.registry import FORMATS

# With fewer trials, the process would take longer to start than the file to be written.
FEWEST_TRIALS = 20_000
_ASIDE = ("csv",)  # needs no rankings, and is the largest file


@contextmanager
def written_aside(
    edition: Edition, folder: Path, formats: Sequence[str]
) -> Iterator[Mapping[str, Path]]:
    """Write the largest formats in another process while the block runs.

    Args:
        edition: the runs.
        folder: the report's folder.
        formats: the requested formats.

    Yields:
        The file of each format that is written so; none if there are few trials.

    Raises:
        RecordError: a file could not be written.
    """
    trials = sum(len(source.run.trials) for source in edition.sources)
    names = [name for name in formats if name in _ASIDE] if trials >= FEWEST_TRIALS else []
    paths = {name: folder / FORMATS[name].file for name in names}
    runs = [source.run.folder for source in edition.sources]
    processes = [_started(runs, path, name) for name, path in paths.items()]
    try:
        yield paths
        for process in processes:
            _, said = process.communicate()
            if process.returncode:
                raise RecordError(said.strip())
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _started(runs: Sequence[Path], path: Path, name: str) -> "subprocess.Popen[str]":
    """Start `bench report` with this code, whatever the working folder contains."""
    path.parent.mkdir(parents=True, exist_ok=True)
    code = str(Path(__file__).parents[2])
    searched = os.pathsep.join(filter(None, [code, os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-P", "-m", "bench", "report", *map(str, runs)]
    return subprocess.Popen(
        [*command, "--format", name, "--export", str(path)],
        env={**os.environ, "PYTHONPATH": searched},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
