"""The width multiplier, which multiplies the channels and units of every layer."""

import msgspec

from bench.errors import ModelError
from bench.spec.layers import Conv, Dense, Layer

_WIDTH = {Dense: "units", Conv: "filters"}


def widen(layer: Layer, factor: float) -> Layer:
    """Multiply the units and filters of all layers but the last, and round them.

    The last layer with units or filters determines the classes and is not changed. This is the
    width multiplier of Howard et al. (2017), "MobileNets", section 3.3, for any model.

    Args:
        layer: the model.
        factor: above 0; 1 returns the model unchanged.

    Raises:
        ModelError: a layer would have no units or filters.
    """
    return layer if factor == 1 else _widen(layer, factor, is_last=True)


def _widen(layer: Layer, factor: float, *, is_last: bool) -> Layer:
    if type(layer) in _WIDTH:
        return layer if is_last else _wide(layer, factor)
    parts = getattr(layer, "parts", None)
    if parts is None:
        return layer
    last = max((place for place, part in enumerate(parts) if _has_width(part)), default=-1)
    made = tuple(
        _widen(part, factor, is_last=is_last and place == last) for place, part in enumerate(parts)
    )
    return msgspec.structs.replace(layer, parts=made)


def _wide(layer: Layer, factor: float) -> Layer:
    name = _WIDTH[type(layer)]
    width = getattr(layer, name)
    if round(width * factor) < 1:
        raise ModelError(
            f"width {factor:g} and a layer with {width} {name}", "a width that leaves at least one"
        )
    return msgspec.structs.replace(layer, **{name: round(width * factor)})


def _has_width(layer: Layer) -> bool:
    return type(layer) in _WIDTH or any(map(_has_width, getattr(layer, "parts", ())))
