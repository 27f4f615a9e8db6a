"""The format of quantities and names, the same in every document."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

TO = "–"  # noqa: RUF001 - an en dash, as in 3 to 5
NOT_KNOWN = TO
TIMES = "×"  # noqa: RUF001 - a multiplication sign, as in 2 times
NOT_REACHED = "not reached"
LONGEST_REASON = 300  # characters; the records hold the whole
_MINUTES = 90.0  # seconds above which times are shown in minutes, and minutes as hours

Write = Callable[[float], str]


def shown(value: float | None, write: Write) -> str:
    """Format the value; a dash if it is unknown, never 0.

    An infinite time means that its target was not reached.
    """
    if value == math.inf:
        return NOT_REACHED
    return NOT_KNOWN if value is None or not math.isfinite(value) else write(value)


@dataclass(frozen=True)
class Number:
    """How a quantity's values are written; the page's script writes them by the same three facts.

    Attributes:
        kind: `fixed`, so many decimals, a positive value too small for them as `<0.01`; or
            `significant`, rounded to so many significant digits, without an exponent.
        digits: number of decimals or significant digits.
        scale: factor from base units to the written unit.
    """

    kind: Literal["fixed", "significant"]
    digits: int
    scale: float = 1.0

    def __call__(self, value: float) -> str:
        """Return the value as text."""
        scaled = value * self.scale
        return self._fixed(scaled) if self.kind == "fixed" else self._significant(scaled)

    def _fixed(self, scaled: float) -> str:
        smallest = 10.0**-self.digits
        if 0 < scaled < smallest / 2:
            return f"<{smallest:.{self.digits}f}"
        return f"{scaled:,.{self.digits}f}"

    def _significant(self, scaled: float) -> str:
        if scaled == 0:
            return "0"
        exponent = int(f"{scaled:.{self.digits - 1}e}".partition("e")[2])
        decimals = self.digits - 1 - exponent
        return f"{round(scaled, decimals):,.{max(decimals, 0)}f}"


def fixed(decimals: int, scale: float = 1.0) -> Number:
    """Return a format with this number of decimals."""
    return Number("fixed", decimals, scale)


def significant(digits: int, scale: float = 1.0) -> Number:
    """Return a format with this number of significant digits."""
    return Number("significant", digits, scale)


def span(low: float | None, high: float | None, write: Write) -> str:
    """Format a range, as a single value if both ends look the same."""
    first, last = shown(low, write), shown(high, write)
    return first if first == last else f"{first}{TO}{last}"


def count(number: int, noun: str) -> str:
    """Return the number with its noun in singular or plural."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def duration(seconds: float) -> str:
    """Format a time in seconds, minutes or hours."""
    if seconds < _MINUTES:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < _MINUTES else f"{minutes / 60:.1f} h"


def listed(names: Sequence[str], last: str = "and") -> str:
    """Join the names as in a sentence, the last one by the given word."""
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} {last} {names[-1]}"


def plain(text: str) -> str:
    """Return the text on one line without control characters, which workers may have printed."""
    if not text.isprintable():
        text = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(text.split())


def shortened(text: str, length: int) -> str:
    """Return the text on one line, cut with an ellipsis if it is longer than `length`."""
    line = plain(text)
    return line if len(line) <= length else f"{line[: length - 1].rstrip()}…"
