"""Write a report: read the runs, make the requested formats, write the files.

Of many trials, the largest file is written by a second process, to use a second CPU.
"""

import gc
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.cache import replace
from bench.errors import RecordError
from reports.analysis.runs import read_sources
from reports.document import Report
from reports.documents.history import Series, history_payload
from reports.documents.run_report import Edition
from reports.exports.html.page import page_text
from reports.exports.html.payload import payload_of
from reports.exports.registry import FORMATS, STANDARD, made
from reports.metrics import Metric

# With fewer trials, the process would take longer to start than the file to be written.
FEWEST_TRIALS = 20_000
_ASIDE = ("csv",)  # needs no rankings, and is the largest file


def write(
    run_folders: Sequence[Path], output: Path | None, formats: Sequence[str] = STANDARD
) -> list[Path]:
    """Write the report; see `reports.write_report`."""
    folder = _output(run_folders, output)
    with _no_collections():
        edition = Edition(read_sources(run_folders))
        with written_aside(edition, folder, formats) as aside:
            here = [name for name in formats if name not in aside]
            files = dict(item for name in here for item in made(edition, name).items())
            paths = _written(folder, files)
    return [*paths, *aside.values()]


def export(run_folders: Sequence[Path], file: str, name: str) -> None:
    """Write one format to a file; see `reports.export_report`."""
    if not run_folders:
        raise ValueError("received no run folder, expected one or several that `bench run` wrote")
    (data,) = made(Edition(read_sources(run_folders)), name).values()
    if file == "-":
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    else:
        path = Path(file)
        _written(path.parent, {path.name: data})


def write_history(report: Report, series: Sequence[Series], metric: Metric, output: Path) -> Path:
    """Write history.html.

    Raises:
        RecordError: it cannot be written.
    """
    payload = payload_of([]) | {"history": history_payload(series, metric)}
    (path,) = _written(output, {"history.html": page_text(report, payload).encode()})
    return path


def format_of(file: str) -> str | None:
    """Return the format with this file's ending; None if there is none."""
    endings = {Path(format_.file).suffix: name for name, format_ in reversed(FORMATS.items())}
    return endings.get(Path(file).suffix) if Path(file).suffix else None


@contextmanager
def written_aside(
    edition: Edition, folder: Path, formats: Sequence[str]
) -> Iterator[Mapping[str, Path]]:
    """Write the largest formats in another process while the block runs.

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
    code = str(Path(__file__).parents[1])
    searched = os.pathsep.join(filter(None, [code, os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-P", "-m", "bench", "report", *map(str, runs)]
    return subprocess.Popen(
        [*command, "--format", name, "--export", str(path)],
        env={**os.environ, "PYTHONPATH": searched},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def _no_collections() -> Iterator[None]:
    """Records hold no cycles; a collector that goes through 100,000 of them finds nothing."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _output(run_folders: Sequence[Path], output: Path | None) -> Path:
    if not run_folders:
        raise ValueError("received no run folder, expected one or several that `bench run` wrote")
    if output is None and len(run_folders) > 1:
        raise ValueError(
            f"received {len(run_folders)} runs and no output, expected the folder of their report"
        )
    return output or run_folders[0]


def _written(folder: Path, files: Mapping[str, bytes]) -> list[Path]:
    paths = []
    for name, data in files.items():
        path = folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            replace(path, data)
        except OSError as error:
            raise RecordError(f"{path}: cannot be written: {error.strerror}") from error
        paths.append(path)
    return paths
