"""Choosing from what is known, by name: an unknown name is answered with the known ones."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


class ChoiceError(ValueError):
    """A name that is not known: says what was received, what is known, and the nearest."""


class ClusterError(ValueError):
    """A cluster that is not there, or has no node of use: says what was received and expected."""


class ModelError(ValueError):
    """A model that cannot be had: says what was received, what was expected, how to mend it."""

    def __init__(self, received: str, expected: str) -> None:
        super().__init__(f"received {received}, expected {expected}")


def split_list(text: str) -> list[str]:
    """The names in `a, b,c`, each once, in order."""
    return list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


def check_known(received: Sequence[str], known: Iterable[str], what: str) -> None:
    """Check every name.

    Raises:
        ChoiceError: a name is not among the known ones, or there is none at all.
    """
    names = list(known)
    if not received:
        raise ChoiceError(f"received no {what}, expected some of: {', '.join(names)}")
    for name in received:
        if name not in names:
            nearest = difflib.get_close_matches(name, names, n=1)
            hint = f"; did you mean {nearest[0]}?" if nearest else ""
            raise ChoiceError(f"unknown {what} {name!r}: expected some of {', '.join(names)}{hint}")
