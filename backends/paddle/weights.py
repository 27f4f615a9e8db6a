"""The names of weights in Paddle; for their layout, see `backends.lowering`."""

from __future__ import annotations

_NAMES = {
    "kernel": "weight",
    "bias": "bias",
    "scale": "weight",
    "shift": "bias",
    "mean": "_mean",
    "variance": "_variance",
}


def paddle_name(address: str) -> str:
    """Return the name in a state dict of the weight at an address.

    >>> paddle_name("2.add/0.sequential/1.conv/kernel")
    '2.0.1.weight'
    """
    *layers, name = address.split("/")
    return ".".join([*(layer.split(".")[0] for layer in layers), _NAMES[name]])
