"""`bench decide`: rank contenders by weights and limits, and show how stable the ranking is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from bench.cli import ALL_MEASURED, NOTHING_MEASURED
from bench.cli.console import print_json, result_console, table
from bench.cli.values import FilePath

if TYPE_CHECKING:  # a report's parts are loaded when they are needed
    from reports.documents.decision import Choice


@click.command("decide")
@click.argument("folders", nargs=-1, required=True, type=FilePath())
@click.option(
    "--weights",
    default="throughput=1,memory=1",
    show_default=True,
    help="Weights of metrics: KEY=NUMBER, with a key of results.json or a part of it.",
)
@click.option(
    "--require",
    "limits",
    multiple=True,
    metavar="LIMIT",
    help="A limit that contenders must keep: 'test_accuracy>=0.97', 'memory<=1GiB'. Repeat the "
    "option for several.",
)
@click.option("--model", help="Show only rankings of this model.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    folders: tuple[Path, ...],
    weights: str,
    limits: tuple[str, ...],
    model: str | None,
    as_json: bool,
) -> int:
    """Rank the contenders of one run or several by your own weights and limits.

    The score is the weighted geometric mean of each metric's ratio to the best contender: 1 is the
    best in every metric with a weight.

    Exit status: 0 a contender wins in each ranking, 2 invalid options or folder, 3 in some ranking
    no contender keeps the limits, or there is no ranking.
    """
    from reports.analysis.weighing import parse_limits, parse_weights
    from reports.documents.decision import decisions

    weighed = parse_weights(weights)
    made = [
        decision
        for decision in decisions(list(folders), weighed, parse_limits(limits))
        if model in (None, decision.ranking.choices["model"])
    ]
    if as_json:
        print_json([choice.as_value() for choice in made])
    else:
        for choice in made:
            _print(choice)
    wins = [choice for choice in made if choice.decision.ranked]
    return ALL_MEASURED if wins and len(wins) == len(made) else NOTHING_MEASURED


def _print(choice: Choice) -> None:
    from reports.documents.decision import notes, score_rows

    console = result_console()
    ranked = choice.decision.ranked
    answer = f"{ranked[0][0].label} wins with these weights" if ranked else "no contender is left"
    console.print(f"{choice.ranking.title} ({choice.ranking.setting}): {answer}")
    header, rows = score_rows(choice)
    if rows:
        console.print(table(header, rows, right=header[1:]))
    for note in notes(choice):
        console.print(note)
    console.print()
