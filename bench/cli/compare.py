"""`bench compare`: compare a new run with an old one; fail on regressions."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from bench.cli.console import document_table, print_json, result_console
from bench.cli.values import FilePath, NameList

if TYPE_CHECKING:  # a report's parts are loaded when they are needed
    from reports.documents.comparison import Gate

_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s*%")


class Percent(click.ParamType[Any]):
    """A percentage such as 5%."""

    name = "percent"

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        """Return the share: 0.05."""
        if isinstance(value, float):
            return value
        match = _PERCENT.fullmatch(str(value).strip())
        if match is None or not float(match[1]) < 100:
            self.fail(f"{value!r} is not a percentage below 100% like 5%")
        return float(match[1]) / 100


@click.command("compare")
@click.argument("base", type=FilePath())
@click.argument("new", type=FilePath())
@click.option(
    "--fail-on",
    type=Percent(),
    default="5%",
    show_default=True,
    help="How much worse, beyond chance, counts as a regression.",
)
@click.option(
    "--metric",
    "metrics",
    type=NameList(),
    default="throughput",
    show_default=True,
    help="Metrics to compare: keys of results.json, or parts of them.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "markdown", "json"]),
    default="table",
    show_default=True,
)
def command(base: Path, new: Path, fail_on: float, metrics: list[str], form: str) -> int:
    """Compare the run in folder NEW with the one in folder BASE, contender by contender.

    A contender is better or worse if the difference of its trials is beyond chance (Welch's t-test
    on logarithms with Holm's correction over all comparisons). It needs two trials in each run.

    Exit status: 0 no regression, 1 a regression, 2 invalid options, file or folder, 3 nothing to
    compare, 4 a contender of BASE fails in NEW or is missing there.
    """
    from reports.documents.comparison import gate_of
    from reports.metrics import directed_metric

    gate = gate_of(base, new, [directed_metric(name) for name in metrics], fail_on)
    _PRINTERS[form](gate)
    return gate.status


def _print_table(gate: Gate) -> None:
    from reports.documents.comparison import report_of

    console = result_console()
    report = report_of(gate)
    console.print(report.title)
    for section in report.sections:
        console.print()
        if section.intro:
            console.print(section.intro)
        for part_table in (part.table for part in section.parts):
            if part_table is not None and part_table.rows:
                console.print(document_table(part_table))
    console.print()
    console.print(report.subtitle)


def _print_markdown(gate: Gate) -> None:
    from reports.documents.comparison import report_of
    from reports.exports.markdown import markdown_text

    click.echo(markdown_text(report_of(gate), "figures"), nl=False)


def _print_json(gate: Gate) -> None:
    from reports.documents.comparison import as_value

    print_json(as_value(gate))


_PRINTERS = {"table": _print_table, "markdown": _print_markdown, "json": _print_json}
