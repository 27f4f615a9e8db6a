"""Write a report: read the runs, compose the document, draw it, put the files in their place."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.records import RecordError
from reports.absences import absence_sections
from reports.arms import arm_sections
from reports.context import context_sections
from reports.csv_file import csv_text
from reports.document import Report
from reports.figures.gallery import draw_all
from reports.formats import count, listed, plain
from reports.markdown import markdown_text
from reports.page import page_text
from reports.rankings import Ranking, rankings_of
from reports.results import result_sections
from reports.sources import Source, read_sources

FIGURES = "figures"


def write(run_folders: Sequence[Path], output: Path | None) -> list[Path]:
    """Write the report; see `reports.write_report`."""
    folder = _output(run_folders, output)
    sources = read_sources(run_folders)
    report = compose(sources)
    return _written(folder, _files(report, sources))


def compose(sources: Sequence[Source]) -> Report:
    """The document of the runs."""
    rankings = rankings_of(sources)
    sections = (
        *result_sections(rankings, draw_all(rankings)),
        *arm_sections(sources),
        *absence_sections(rankings, sources),
        *context_sections(sources),
    )
    return Report(_title(sources), _subtitle(sources, rankings), sections)


def _output(run_folders: Sequence[Path], output: Path | None) -> Path:
    if not run_folders:
        raise ValueError("received no run folder, expected one or several that `bench run` wrote")
    if output is None and len(run_folders) > 1:
        raise ValueError(
            f"received {len(run_folders)} runs and no output, expected the folder of their report"
        )
    return output or run_folders[0]


def _title(sources: Sequence[Source]) -> str:
    trials = [trial for source in sources for trial in source.run.trials]
    backends = listed(sorted({plain(trial.backend) for trial in trials})) or "nothing"
    datasets = listed(sorted({plain(source.run.manifest.dataset.name) for source in sources}))
    return f"{backends} on {datasets}"


def _subtitle(sources: Sequence[Source], rankings: Sequence[Ranking]) -> str:
    trials = count(sum(len(source.run.trials) for source in sources), "trial")
    contenders = count(sum(len(ranking.measured) for ranking in rankings), "contender")
    machines = listed(list(dict.fromkeys(source.machine for source in sources)))
    runs = listed([source.name for source in sources])
    return f"evenbench: {trials}, {contenders} measured, on {machines}, run {runs}"


def _files(report: Report, sources: Sequence[Source]) -> dict[str, bytes]:
    """What each file holds, by its path within the report's folder."""
    figures = {
        f"{FIGURES}/{picture.stem}.{kind}": data
        for picture in report.pictures
        for kind, data in (("png", picture.png), ("svg", picture.svg))
    }
    return {
        "report.html": page_text(report).encode(),
        "report.md": markdown_text(report, FIGURES).encode(),
        "results.csv": csv_text(sources).encode(),
        **figures,
    }


def _written(folder: Path, files: Mapping[str, bytes]) -> list[Path]:
    paths = []
    for name, data in files.items():
        path = folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _replace(path, data)
        except OSError as error:
            raise RecordError(f"{path}: cannot be written: {error.strerror}") from error
        paths.append(path)
    return paths


def _replace(path: Path, data: bytes) -> None:
    """Write under another name, then rename: who reads sees the old file or the new one whole.

    A link at the file's place is replaced, never written through.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.unlink(missing_ok=True)
        with partial.open("xb") as file:
            file.write(data)
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
