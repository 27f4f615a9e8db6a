"""results.tex: a table for each ranking, to be included by a document that loads booktabs."""

import re
from collections.abc import Iterator

from reports.analysis.rankings import Ranking
from reports.display import NOT_KNOWN
from reports.documents.run_report import Edition
from reports.metrics import ACCURACY, FIRST_STEP, PEAK_MEMORY, THROUGHPUT
from reports.sections.cells import medians, repeats, throughput

_COLUMNS = (THROUGHPUT, ACCURACY, PEAK_MEMORY, FIRST_STEP)
_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    NOT_KNOWN: "--",
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
}


def latex_bytes(edition: Edition) -> bytes:
    """Return the tables of the comparable contenders, with the estimated throughput and medians."""
    tables = ("\n".join(_lines(each)) for each in edition.rankings if each.contenders)
    return "\n".join(["% Needs \\usepackage{booktabs}.", *tables]).encode()


def escape(text: str) -> str:
    """Escape the text for LaTeX."""
    return re.sub(r'[\\~^<>|"&%$#_{}]|' + NOT_KNOWN, lambda found: _SPECIAL[found[0]], text)


def _lines(ranking: Ranking) -> Iterator[str]:
    heads = [THROUGHPUT.heading, "95 % interval", *(metric.heading for metric in _COLUMNS[1:])]
    yield r"\begin{table}"
    yield r"\centering"
    caption = (
        f"{ranking.title}: estimated throughput, and medians over the trials ({ranking.setting})"
    )
    yield rf"\caption{{{escape(caption)}}}"
    yield rf"\begin{{tabular}}{{l{'r' * (len(heads) + 1)}}}"
    yield r"\toprule"
    yield rf"{' & '.join(map(escape, ['Contender', *heads, 'Trials']))} \\"
    yield r"\midrule"
    for contender in ranking.contenders:
        cells = (
            contender.label,
            *throughput(contender),
            *medians(contender, _COLUMNS[1:]),
            repeats(contender),
        )
        yield rf"{' & '.join(map(escape, cells))} \\"
    yield r"\bottomrule"
    yield r"\end{tabular}"
    yield r"\end{table}"
