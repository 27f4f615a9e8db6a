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

# Below, the process would take longer to start than the file to be written.
FEWEST_TRIALS = 20_000
_ASIDE = ("csv",)  # needs the records alone, and is the most work of those


@contextmanager
def written_aside(
    edition: Edition, folder: Path, formats: Sequence[str]
) -> Iterator[Mapping[str, Path]]:
    """Have some of the formats written by another process until the block ends.

    Args:
        edition: of runs in folders.
        folder: of the report.
        formats: those that the report is to have.

    Yields:
        The file of each format that is written so; none where there are few trials.

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
    """`bench report` of this very code, whatever lies in the working folder."""
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
