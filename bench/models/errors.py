"""What can go wrong with the name of a model."""

from __future__ import annotations


class ModelError(ValueError):
    """A model that cannot be had: says what was received, what was expected, how to mend it."""

    def __init__(self, received: str, expected: str) -> None:
        super().__init__(f"received {received}, expected {expected}")
