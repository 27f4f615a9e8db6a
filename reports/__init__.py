"""Records in, documents out: tables, figures, HTML, Markdown and CSV.

Depends on `bench.records` alone and imports no framework. Importing this package is cheap; what
draws and computes is loaded by the first report.
"""

from collections.abc import Sequence
from pathlib import Path


def write_report(run_folders: Sequence[Path], output: Path | None = None) -> list[Path]:
    """Write report.md, report.html, results.csv and the figures of one run or of several together.

    Args:
        run_folders: folders that `bench run` wrote. One named twice counts once.
        output: where the report goes; the run's own folder if there is one run only.

    Returns:
        The paths of what was written.

    Raises:
        bench.records.RecordError: a folder holds no run, or the report cannot be written.
        ValueError: no folder, or several without `output`.
    """
    from reports.writing import write

    return write(run_folders, output)
