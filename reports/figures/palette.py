"""Colours: one a backend, shades and line styles for its modes.

The hues are those of Okabe and Ito (2008), which colour-blind readers can distinguish, without
yellow and black, which vanish on white or on a dark page. No figure relies on colour alone.
"""

from collections.abc import Sequence
from typing import Literal

from reports.analysis.contenders import Contender

Line = Literal["-"] | tuple[float, tuple[float, ...]]

# A backend keeps its colour from report to report; the rest go to others in order of name.
_OWN = {"jax": "#0072b2", "numpy": "#7d858f", "tensorflow": "#009e73", "torch": "#d55e00"}
_OTHERS = ("#cc79a7", "#e69f00", "#56b4e9")
# Shares of white (above 0) or black (below 0) that a backend's modes in turn are mixed with.
_SHADES = (0.0, 0.38, -0.35, 0.6)
LINES: tuple[Line, ...] = ("-", (0, (4, 1.6)), (0, (1.2, 1.4)), (0, (6, 1.6, 1.2, 1.6)))

# Shades of grey for what comes before training, then the two that recur.
PHASES = ("#8a929c", "#c3c9d0", "#a7aeb7", "#e69f00", "#0072b2", "#56b4e9")


def hues(contenders: Sequence[Contender]) -> dict[str, str]:
    """Return the colour of each backend."""
    others = sorted({contender.backend for contender in contenders} - set(_OWN))
    return _OWN | {name: _OTHERS[i % len(_OTHERS)] for i, name in enumerate(others)}


def styles(contenders: Sequence[Contender]) -> list[tuple[str, Line]]:
    """Return the colour and line style of each contender."""
    own = hues(contenders)
    modes = {name: _modes(contenders, name) for name in {c.backend for c in contenders}}
    made = []
    for contender in contenders:
        turn = modes[contender.backend].index(contender.mode)
        shade = mixed(own[contender.backend], _SHADES[turn % len(_SHADES)])
        made.append((shade, LINES[turn % len(LINES)]))
    return made


def _modes(contenders: Sequence[Contender], backend: str) -> list[str]:
    return sorted({contender.mode for contender in contenders if contender.backend == backend})


def mixed(colour: str, share: float) -> str:
    """Mix the colour (`#rrggbb`) with a share of white, or of black if it is negative."""
    target = 255 if share > 0 else 0
    channels = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return "#" + "".join(f"{round(c + (target - c) * abs(share)):02x}" for c in channels)
