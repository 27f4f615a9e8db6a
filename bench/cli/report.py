"""`bench report`: write the report of one run again, or of several runs."""

from pathlib import Path

import rich_click as click

from bench.cli.values import FilePath, NameList
from bench.errors import check_known


@click.command("report")
@click.argument("folders", nargs=-1, required=True, type=FilePath())
@click.option(
    "--output",
    type=FilePath(),
    help="Folder of the report. Default: the run's folder; required for several runs.",
)
@click.option(
    "--format",
    "formats",
    type=NameList(),
    help="Files to write: html, markdown, csv, json, parquet, latex, pytest-benchmark, mllog, "
    "figures. Default: html,markdown,csv,figures.",
)
@click.option(
    "--export",
    metavar="FILE",
    help="Write one format to this file and nothing else; - is standard output. The format is "
    "that of the file's extension (.html .md .csv .json .parquet .tex), or --format.",
)
def command(
    folders: tuple[Path, ...], output: Path | None, formats: list[str] | None, export: str | None
) -> int:
    """Write report.html, report.md, results.csv and the figures of one run or several.

    Runs with different machines, specs, precisions, threads or data are ranked separately.

    Exit status: 0 the report is written, 2 invalid options or folder.
    """
    from reports import export_report, write_report
    from reports.exports.registry import FORMATS

    if formats is not None:
        check_known(formats, FORMATS, "format")
    if export is not None:
        if output is not None:
            raise click.UsageError("--export cannot be combined with --output")
        export_report(list(folders), export, _one_format(export, formats))
        return 0
    if len(folders) > 1 and output is None:
        raise click.UsageError("the report of several runs needs --output DIR")
    for path in write_report(list(folders), output, formats or ()):
        click.echo(path)
    return 0


def _one_format(file: str, formats: list[str] | None) -> str:
    """Return the format to export: the one in --format, or that of the file's extension."""
    from reports.write import format_of

    if formats is None:
        implied = format_of(file)
        if implied is None:
            raise click.UsageError(
                f"--export {file} needs --format, because the extension does not imply a format"
            )
        return implied
    if len(formats) > 1 or formats == ["figures"]:
        raise click.UsageError(
            f"--export writes one file, so --format {','.join(formats)} is not possible"
        )
    return formats[0]
