"""One thing that was looked at."""

from pathlib import Path
from typing import NamedTuple

UNKNOWN = "unknown"


class Finding(NamedTuple):
    """A knob of the machine.

    Attributes:
        name: of the knob.
        value: as it is; `unknown` where the system does not tell.
        advice: what to do about it; empty where nothing is to be done.
    """

    name: str
    value: str
    advice: str = ""


def words(path: Path) -> str | None:
    """The file's text on one line; None where it cannot be read."""
    try:
        return " ".join(path.read_text(encoding="utf-8", errors="replace").split()) or None
    except OSError:
        return None
