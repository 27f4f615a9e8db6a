"""How quantities and names are written, the same in every document."""

import math
from collections.abc import Callable, Sequence

TO = "–"  # noqa: RUF001 - an en dash, as in 3 to 5
NOT_KNOWN = TO
LONGEST_REASON = 300  # characters; the records hold the whole

Write = Callable[[float], str]


def shown(value: float | None, write: Write) -> str:
    """The value as `write` writes it; a dash where it is not known, never 0."""
    return NOT_KNOWN if value is None or not math.isfinite(value) else write(value)


def fixed(decimals: int, scale: float = 1.0) -> Write:
    """Write with so many decimals; a positive value too small for them as `<0.01`."""
    smallest = 10.0**-decimals

    def write(value: float) -> str:
        scaled = value * scale
        if 0 < scaled < smallest / 2:
            return f"<{smallest:.{decimals}f}"
        return f"{scaled:,.{decimals}f}"

    return write


def significant(digits: int, scale: float = 1.0) -> Write:
    """Write rounded to so many significant digits, without an exponent."""

    def write(value: float) -> str:
        scaled = value * scale
        if scaled == 0:
            return "0"
        exponent = int(f"{scaled:.{digits - 1}e}".partition("e")[2])
        decimals = digits - 1 - exponent
        return f"{round(scaled, decimals):,.{max(decimals, 0)}f}"

    return write


def span(low: float | None, high: float | None, write: Write) -> str:
    """From the smallest to the largest; written once where both are written alike."""
    first, last = shown(low, write), shown(high, write)
    return first if first == last else f"{first}{TO}{last}"


def count(number: int, noun: str) -> str:
    """The number with its noun in singular or plural."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def listed(names: Sequence[str]) -> str:
    """The names as a sentence lists them."""
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"


def plain(text: str) -> str:
    """The text on one line, without control characters: reasons hold what workers printed."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def shortened(text: str, length: int) -> str:
    """The text on one line, at most so long; what is left out is marked by an ellipsis."""
    line = plain(text)
    return line if len(line) <= length else f"{line[: length - 1].rstrip()}…"
