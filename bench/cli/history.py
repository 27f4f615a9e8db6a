"""`bench history`: how contenders changed over many runs."""

from pathlib import Path

import rich_click as click

from bench.cli.console import document_table, message_console, result_console
from bench.cli.values import FilePath


@click.command("history")
@click.argument("folders", nargs=-1, required=True, type=FilePath())
@click.option(
    "--metric",
    default="throughput",
    show_default=True,
    help="Metric to show: a key of results.json, or words of it.",
)
@click.option("--output", type=FilePath(), help="Also write history.html into this folder.")
def command(folders: tuple[Path, ...], metric: str, output: Path | None) -> int:
    """Show a metric of each contender over the runs, in order of time.

    Level changes are detected from seven runs on. Runs with different machines, specs or settings
    are in different series.

    Exit status: 0 there is a series, 2 invalid options or folder, 3 there is none.
    """
    from reports.analysis.runs import read_sources
    from reports.documents.history import history_report, series_of
    from reports.metrics import directed_metric

    chosen = directed_metric(metric)
    sources = read_sources(list(folders))
    series = series_of(sources, chosen)
    report = history_report(series, chosen, len(sources))
    console = result_console()
    for part in report.sections[0].parts:
        if part.table is not None:
            console.print(part.heading)
            console.print(document_table(part.table))
    if output is not None:
        from reports.write import write_history

        path = write_history(report, series, chosen, output)
        message_console().print(f"History: {path}")
    return 0 if series else 3
