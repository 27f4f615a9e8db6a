"""What ends the terminal output: the answers, and the contenders in few columns."""

from collections.abc import Iterator

from bench.records.reader import Run
from reports.analysis.rankings import Ranking, rankings_of
from reports.analysis.runs import name_sources
from reports.display import count, shortened
from reports.metrics import ACCURACY, FIRST_STEP, PEAK_MEMORY
from reports.sections.answer import decided, sentence
from reports.sections.cells import medians, rank, relative, repeats, throughput

HEADER = (
    "model",
    "contender",
    "rank",
    "images/s",
    "relative (interval)",
    "accuracy %",
    "peak MiB",
    "first step s",
    "trials",
    "note",
)
NUMBERS = HEADER[2:9]

_LONGEST_NOTE = 100

Row = tuple[str, ...]


def summary(run: Run) -> tuple[list[str], list[Row]]:
    """Return the answers as lines, and one row per contender, by ranking, the fastest first.

    What failed follows its ranking, with the outcome and the reason in the last column. The columns
    are those of `HEADER`; those of `NUMBERS` contain numbers.
    """
    rankings = rankings_of(name_sources([run]))
    lines = [line for ranking in rankings for line in _answer(ranking, len(rankings) > 1)]
    return lines, [row for ranking in rankings for row in _rows(ranking)]


def _answer(ranking: Ranking, is_one_of_several: bool) -> Iterator[str]:
    title = f"{ranking.title}: " if is_one_of_several else ""
    yield f"{title}{sentence(ranking)}"
    yield " ".join(decided(ranking))


def _rows(ranking: Ranking) -> Iterator[Row]:
    for place, contender in enumerate(ranking.measured):
        yield (
            ranking.title,
            contender.label,
            rank(ranking, place),
            throughput(contender)[0],
            relative(ranking, place),
            *medians(contender, (ACCURACY, PEAK_MEMORY, FIRST_STEP)),
            repeats(contender),
            "",
        )
    for failure in ranking.failures:
        ended = f"{count(failure.trials, 'trial')} {failure.outcome}: {failure.reason}"
        blank = ("",) * len(NUMBERS)
        yield ranking.title, failure.label, *blank, shortened(ended, _LONGEST_NOTE)
