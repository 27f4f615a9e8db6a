"""The table that ends the terminal output: the contenders in few columns."""

from collections.abc import Iterator, Sequence

from bench.records.trial import TrialRecord
from reports.analysis.rankings import Ranking, rankings_of_records
from reports.display import count, shortened
from reports.metrics import ACCURACY, FIRST_STEP, PEAK_MEMORY
from reports.sections.cells import medians, rank, relative, repeats, throughput

HEADER = (
    "model",
    "contender",
    "rank",
    "images/s",
    "95 % interval",
    "relative",
    "accuracy %",
    "peak MiB",
    "first step s",
    "trials",
    "note",
)
NUMBERS = HEADER[2:10]

_LONGEST_NOTE = 100

Row = tuple[str, ...]


def summary_rows(records: Sequence[TrialRecord]) -> tuple[Row, list[Row]]:
    """Return the header and one row per contender, by ranking, the fastest first.

    What failed follows its ranking, with the outcome and the reason in the last column. The
    columns of `NUMBERS` hold numbers.
    """
    rankings = rankings_of_records(records)
    return HEADER, [row for ranking in rankings for row in _rows(ranking)]


def _rows(ranking: Ranking) -> Iterator[Row]:
    for place, contender in enumerate(ranking.measured):
        yield (
            ranking.title,
            contender.label,
            rank(ranking, place),
            *throughput(contender),
            relative(ranking, place),
            *medians(contender, (ACCURACY, PEAK_MEMORY, FIRST_STEP)),
            repeats(contender),
            "",
        )
    for failure in ranking.failures:
        ended = f"{count(failure.trials, 'trial')} {failure.outcome}: {failure.reason}"
        blank = ("",) * len(NUMBERS)
        yield ranking.title, failure.label, *blank, shortened(ended, _LONGEST_NOTE)
