"""`bench report`: write the report of earlier runs again, or of several together."""

from pathlib import Path

import click

from bench.cli.values import FilePath


@click.command("report")
@click.argument("folders", nargs=-1, required=True, type=FilePath())
@click.option(
    "--output",
    type=FilePath(),
    help="Where the report goes. Default: the run's own folder; needed for several runs.",
)
def command(folders: tuple[Path, ...], output: Path | None) -> int:
    """Write report.html, report.md, results.csv and the figures of one run or several."""
    from reports import write_report

    if len(folders) > 1 and output is None:
        raise click.UsageError("received several runs, expected --output DIR for their report")
    for path in write_report(list(folders), output):
        click.echo(path)
    return 0
