"""results.json: the rankings as the page computes with them, and every trial's record."""

import msgspec

from reports.documents.run_report import Edition
from reports.exports.html.payload import payload_of

# A worker's variables and what it printed stay in trials.jsonl: a report goes to other people.
_LEFT_OUT = ("variables", "log")


def json_text(edition: Edition) -> str:
    """Return title, subtitle, metrics, rankings, and the trials with their run's name."""
    payload = payload_of(edition.rankings)
    value = {
        "title": edition.report.title,
        "subtitle": edition.report.subtitle,
        "metrics": payload["metrics"],
        "rankings": payload["rankings"],
        "trials": [
            {"run": source.name} | _fields(record)
            for source in edition.sources
            for record in source.run.trials
        ],
    }
    return msgspec.json.encode(value).decode()


def json_bytes(edition: Edition) -> bytes:
    """Return the document, indented."""
    return msgspec.json.format(json_text(edition).encode(), indent=2) + b"\n"


def _fields(record: msgspec.Struct) -> dict[str, object]:
    values: dict[str, object] = msgspec.to_builtins(record)
    return {name: value for name, value in values.items() if name not in _LEFT_OUT}
