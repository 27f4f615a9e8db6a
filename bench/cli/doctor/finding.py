"""The result of examining one setting."""

from pathlib import Path
from typing import NamedTuple

UNKNOWN = "unknown"


class Finding(NamedTuple):
    """A setting of the machine.

    Attributes:
        name: of the setting.
        value: its value; `unknown` if the system does not report it.
        advice: what to do; empty if nothing has to be done.
    """

    name: str
    value: str
    advice: str = ""


def words(path: Path) -> str | None:
    """Return the file's text on one line; None if it cannot be read."""
    try:
        return " ".join(path.read_text(encoding="utf-8", errors="replace").split()) or None
    except OSError:
        return None
