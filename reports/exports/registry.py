"""The formats of a report: for each the file, what it is for, and what makes it.

A maker is imported when its format is requested.
"""

import importlib
from typing import NamedTuple

from reports.documents.run_report import Edition
from reports.exports.html.page import Download, page_text
from reports.exports.html.payload import payload_of

FIGURES = "figures"
# With more trials, the page offers only the contenders for download; results.csv has the trials.
MOST_TRIALS_IN_PAGE = 20_000
# The results.json within the page has the pairs of so many contenders of a ranking.
MOST_PAIRED_IN_PAGE = 50


class Format(NamedTuple):
    """A format.

    Attributes:
        file: its file within the report's folder.
        summary: what it is for.
        maker: `module:function` that makes its bytes from an edition.
    """

    file: str
    summary: str
    maker: str


FORMATS = {
    "html": Format("report.html", "the page", "reports.exports.registry:page"),
    "markdown": Format("report.md", "for a pull request", "reports.exports.registry:markdown"),
    "csv": Format("results.csv", "one line per trial", "reports.exports.data:csv_bytes"),
    "json": Format("results.json", "rankings and trials", "reports.exports.data:json_bytes"),
    "parquet": Format("results.parquet", "one row per trial", "reports.exports.data:parquet_bytes"),
    "latex": Format(
        "results.tex", "the rankings for an article", "reports.exports.latex:latex_bytes"
    ),
    "pytest-benchmark": Format(
        "pytest-benchmark.json",
        "for `pytest-benchmark compare`",
        "reports.exports.pytest_benchmark:pytest_benchmark_bytes",
    ),
    "mllog": Format(
        "mllog.txt", "MLPerf's events of each trial", "reports.exports.mllog:mllog_bytes"
    ),
    "figures": Format(FIGURES, "PNG and SVG files", ""),
}
STANDARD = ("html", "markdown", "csv", "figures")


def made(edition: Edition, name: str) -> dict[str, bytes]:
    """Return the content of each file of a format, by its path in the report's folder."""
    if name == "figures":
        return figures(edition)
    module, _, function = FORMATS[name].maker.partition(":")
    make = getattr(importlib.import_module(module), function)
    return {FORMATS[name].file: make(edition)}


def page(edition: Edition) -> bytes:
    """report.html."""
    payload = payload_of(edition.rankings)
    return page_text(edition.report, payload, _downloads(edition)).encode()


def markdown(edition: Edition) -> bytes:
    """report.md."""
    from reports.exports.markdown import markdown_text

    return markdown_text(edition.report, FIGURES).encode()


def figures(edition: Edition) -> dict[str, bytes]:
    """Return the figures, each as PNG and as SVG."""
    return {
        f"{FIGURES}/{picture.stem}.{kind}": data
        for picture in edition.report.pictures
        for kind, data in (("png", picture.png), ("svg", picture.svg))
    }


def _downloads(edition: Edition) -> tuple[Download, ...]:
    from reports.exports.data import contenders_csv, csv_text, json_text

    trials = sum(len(source.run.trials) for source in edition.sources)
    if trials > MOST_TRIALS_IN_PAGE:
        text = contenders_csv(edition.rankings)
        return (Download("contenders.csv", "text/csv", text, "Contenders as CSV"),)
    return (
        Download("results.csv", "text/csv", csv_text(edition.trials), "Trials as CSV"),
        Download(
            "results.json",
            "application/json",
            json_text(edition, MOST_PAIRED_IN_PAGE),
            "All as JSON",
        ),
    )
