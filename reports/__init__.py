"""Records in, documents out: tables, figures, HTML, Markdown and CSV.

Depends on `bench.records` and `bench.statistics` and imports no framework. Importing this package
is cheap: what draws and computes is loaded by the first report.
"""

from collections.abc import Sequence
from pathlib import Path


def write_report(
    run_folders: Sequence[Path], output: Path | None = None, formats: Sequence[str] = ()
) -> list[Path]:
    """Write the report of one run or of several together.

    Args:
        run_folders: folders that `bench run` wrote. One named twice counts once.
        output: where the report goes; the run's own folder if there is one run only.
        formats: names in `reports.exports.registry.FORMATS`; report.html, report.md, results.csv
            and the figures if there are none.

    Returns:
        The paths of what was written.

    Raises:
        bench.errors.RecordError: a folder holds no run, or the report cannot be written.
        ValueError: no folder, or several without `output`.
    """
    from reports.exports.registry import STANDARD
    from reports.write import write

    return write(run_folders, output, formats or STANDARD)


def export_report(run_folders: Sequence[Path], file: str, name: str) -> None:
    """Write one format of the report to a file of the caller's choice.

    Args:
        run_folders: as for `write_report`.
        file: the file's path; `-` is standard output.
        name: of a format in `reports.exports.registry.FORMATS` that is one file.

    Raises:
        bench.errors.RecordError: a folder holds no run, or the file cannot be written.
    """
    from reports.write import export

    export(run_folders, file, name)
