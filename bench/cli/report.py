"""`bench report`: write the report of earlier runs again, or of several together."""

from pathlib import Path

import rich_click as click

from bench.cli.values import FilePath, NameList
from bench.errors import check_known


@click.command("report")
@click.argument("folders", nargs=-1, required=True, type=FilePath())
@click.option(
    "--output",
    type=FilePath(),
    help="Where the report goes. Default: the run's own folder; needed for several runs.",
)
@click.option(
    "--format",
    "formats",
    type=NameList(),
    help="Which files to write: html, markdown, csv, json, parquet, latex, pytest-benchmark, "
    "mllog, figures. Default: html,markdown,csv,figures.",
)
@click.option(
    "--export",
    metavar="FILE",
    help="Write one format to this file and nothing else; - is standard output. The file's "
    "ending tells the format (.html .md .csv .json .parquet .tex), or --format does.",
)
def command(
    folders: tuple[Path, ...], output: Path | None, formats: list[str] | None, export: str | None
) -> int:
    """Write report.html, report.md, results.csv and the figures of one run or several.

    Runs that differ in machine, spec, precision, threads or data are ranked apart.
    """
    from reports import export_report, write_report
    from reports.exports.registry import FORMATS

    if formats is not None:
        check_known(formats, FORMATS, "format")
    if export is not None:
        if output is not None:
            raise click.UsageError("received --export with --output, expected one of the two")
        export_report(list(folders), export, _one_format(export, formats))
        return 0
    if len(folders) > 1 and output is None:
        raise click.UsageError("received several runs, expected --output DIR for their report")
    for path in write_report(list(folders), output, formats or ()):
        click.echo(path)
    return 0


def _one_format(file: str, formats: list[str] | None) -> str:
    """The format that is exported: the one that is named, or the one that the ending tells."""
    from reports.write import format_of

    if formats is None:
        told = format_of(file)
        if told is None:
            raise click.UsageError(
                f"received --export {file}, expected an ending that tells the format, or --format"
            )
        return told
    if len(formats) > 1 or formats == ["figures"]:
        raise click.UsageError(
            f"received --export with --format {','.join(formats)}, expected one format of one file"
        )
    return formats[0]
