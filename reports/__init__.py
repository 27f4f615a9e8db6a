"""Records in, documents out: tables, figures, HTML, Markdown and CSV.

Depends on `bench.records` and `bench.statistics` and imports no framework. Importing this package
is fast: the modules that draw and compute are loaded by the first report.
"""

from collections.abc import Sequence
from pathlib import Path


def write_report(
    run_folders: Sequence[Path], output: Path | None = None, formats: Sequence[str] = ()
) -> list[Path]:
    """Write the report of one run or of several together.

    Args:
        run_folders: folders that `bench run` wrote. A folder given twice counts once.
        output: folder of the report; by default the run's folder, if there is only one run.
        formats: names in `reports.exports.registry.FORMATS`; report.html, report.md, results.csv
            and the figures if there are none.

    Returns:
        The paths of the written files.

    Raises:
        bench.errors.RecordError: a folder contains no run, or the report cannot be written.
        ValueError: no folder, or several without `output`.
    """
    from reports.exports.registry import STANDARD
    from reports.write import write

    return write(run_folders, output, formats or STANDARD)


def export_report(run_folders: Sequence[Path], file: str, name: str) -> None:
    """Write one format of the report to a file.

    Args:
        run_folders: as for `write_report`.
        file: the file's path; `-` is standard output.
        name: name of a format in `reports.exports.registry.FORMATS` that is a single file.

    Raises:
        bench.errors.RecordError: a folder contains no run, or the file cannot be written.
    """
    from reports.write import export

    export(run_folders, file, name)
