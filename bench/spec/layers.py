"""The layer vocabulary: immutable values that state a model without naming a framework.

One rule: a layer is a function from one feature map to one feature map. Eleven leaves and four
composites state every model; a composite holds its parts in a tuple. Every value round-trips
through JSON (`to_json`, `from_json`), where the field `kind` names the class.
"""

from __future__ import annotations

import re
from typing import Any, Optional, Union

import msgspec

ACTIVATIONS = ("relu", "relu6", "sigmoid", "tanh", "silu", "gelu")
PADDINGS = ("same", "valid")


def kind_of(class_name: str) -> str:
    """The name of a layer class as written in JSON and in weight paths: `AvgPool` is `avg_pool`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", class_name).lower()


LARGEST = 2**31 - 1  # no extent, count or window of a layer is larger


def _require(condition: bool, received: str, expected: str) -> None:
    if not condition:
        raise ValueError(f"received {received}, expected {expected}")


def _positive(**fields: Any) -> None:
    for name, value in fields.items():
        is_whole = isinstance(value, int) and not isinstance(value, bool)
        fits = is_whole and 1 <= value <= LARGEST
        wanted = f"{name} a whole number of 1 or more and at most {LARGEST:,}"
        _require(fits, f"{name}={value!r:.60}", wanted)


def _padding(padding: Any, kernel: int, name: str) -> None:
    _require(padding in PADDINGS, f"padding={padding!r}", f"one of {', '.join(PADDINGS)}")
    _require(
        padding == "valid" or kernel % 2 == 1,
        f"padding='same' with {name}={kernel}",
        f"an odd {name} for 'same' (it pads {name}//2 on each side), or padding='valid'",
    )


class LayerBase(
    msgspec.Struct, frozen=True, tag_field="kind", tag=kind_of, forbid_unknown_fields=True
):
    """What all layers share: immutability and a JSON form."""

    @property
    def kind(self) -> str:
        """The layer's name in JSON and in weight paths."""
        return kind_of(type(self).__name__)


class Dense(LayerBase, frozen=True):
    """A matrix product and a bias: (features,) -> (units,). Kernel (in, out), bias (out,)."""

    units: int
    bias: bool = True

    def __post_init__(self) -> None:
        _positive(units=self.units)


class Conv(LayerBase, frozen=True):
    """Two-dimensional cross-correlation: (h, w, c) -> (h', w', filters).

    Kernel (k, k, c / groups, filters), bias (filters,). Padding "same" is k // 2 zeros on every
    side whatever the stride; "valid" is none. Output size: (size + 2 * padding - k) // stride + 1.
    """

    filters: int
    kernel: int
    stride: int = 1
    padding: str = "same"
    groups: int = 1
    bias: bool = True

    def __post_init__(self) -> None:
        _positive(filters=self.filters, kernel=self.kernel, stride=self.stride, groups=self.groups)
        _padding(self.padding, self.kernel, "kernel")
        _require(
            self.filters % self.groups == 0,
            f"filters={self.filters} with groups={self.groups}",
            "filters to be a multiple of groups",
        )


class DepthwiseConv(LayerBase, frozen=True):
    """One k x k filter a channel: (h, w, c) -> (h', w', c). Kernel (k, k, 1, c), bias (c,)."""

    kernel: int
    stride: int = 1
    padding: str = "same"
    bias: bool = True

    def __post_init__(self) -> None:
        _positive(kernel=self.kernel, stride=self.stride)
        _padding(self.padding, self.kernel, "kernel")


class BatchNorm(LayerBase, frozen=True):
    """Normalise each channel over the batch and the image (Ioffe and Szegedy, 2015).

    Training: y = scale * (x - mean) / sqrt(variance + epsilon) + shift with the batch's mean and
    biased variance. Running statistics: r = momentum * r + (1 - momentum) * batch, where the
    batch's variance enters unbiased (divided by n - 1). Inference uses the running statistics.
    Weights: scale, shift, and the statistics mean, variance, each (c,).
    """

    momentum: float = 0.9
    epsilon: float = 1e-5

    def __post_init__(self) -> None:
        _require(0 <= self.momentum < 1, f"momentum={self.momentum!r}", "0 <= momentum < 1")
        _require(0 < self.epsilon < 1, f"epsilon={self.epsilon!r}", "0 < epsilon < 1")


class Activation(LayerBase, frozen=True):
    """An elementwise function. `gelu` is the exact form, with erf; `silu` is x * sigmoid(x)."""

    function: str

    def __post_init__(self) -> None:
        known = ", ".join(ACTIVATIONS)
        _require(self.function in ACTIVATIONS, f"function={self.function!r}", f"one of {known}")


class MaxPool(LayerBase, frozen=True):
    """The largest value of each size x size window; the stride is the size unless given.

    Padding "same" is size // 2 on every side with values that never win; "valid" is none.
    """

    size: int
    stride: Optional[int] = None
    padding: str = "valid"

    def __post_init__(self) -> None:
        _positive(size=self.size, stride=self.steps)
        _padding(self.padding, self.size, "size")

    @property
    def steps(self) -> int:
        """The stride in force."""
        return self.size if self.stride is None else self.stride


class AvgPool(LayerBase, frozen=True):
    """The mean of each size x size window, without padding; the stride is the size unless given."""

    size: int
    stride: Optional[int] = None

    def __post_init__(self) -> None:
        _positive(size=self.size, stride=self.steps)

    @property
    def steps(self) -> int:
        """The stride in force."""
        return self.size if self.stride is None else self.stride


class GlobalAvgPool(LayerBase, frozen=True):
    """The mean of each channel: (h, w, c) -> (c,)."""


class Flatten(LayerBase, frozen=True):
    """All values in the order height, width, channel: (h, w, c) -> (h * w * c,)."""


class Dropout(LayerBase, frozen=True):
    """In training, zero a share `rate` of the values and divide the rest by 1 - rate."""

    rate: float

    def __post_init__(self) -> None:
        _require(0 <= self.rate < 1, f"rate={self.rate!r}", "0 <= rate < 1")


class Identity(LayerBase, frozen=True):
    """The input, unchanged: the plain shortcut of a residual block."""


class _Composite(LayerBase, frozen=True):
    """A layer made of layers."""

    parts: tuple[Layer, ...]

    def __post_init__(self) -> None:
        is_layers = isinstance(self.parts, tuple) and all(
            isinstance(part, LayerBase) for part in self.parts
        )
        if not is_layers:  # the parts of a deep model are long to print
            _require(False, f"parts={self.parts!r:.80}", "a tuple of layers")
        _require(len(self.parts) > 0, "no parts", "at least one layer")


class Sequential(_Composite, frozen=True):
    """Each part applied to the output of the one before."""


class Add(_Composite, frozen=True):
    """The sum of the parts, each applied to the same input; all outputs have one shape."""


class Concatenate(_Composite, frozen=True):
    """The outputs of the parts side by side along the channels."""


class Multiply(_Composite, frozen=True):
    """The elementwise product of the parts; a part of shape (c,) scales the channels of a map."""


Layer = Union[
    Dense,
    Conv,
    DepthwiseConv,
    BatchNorm,
    Activation,
    MaxPool,
    AvgPool,
    GlobalAvgPool,
    Flatten,
    Dropout,
    Identity,
    Sequential,
    Add,
    Concatenate,
    Multiply,
]


def sequential(*parts: Layer) -> Sequential:
    """`Sequential` with the parts as arguments."""
    return Sequential(parts)


def add(*parts: Layer) -> Add:
    """`Add` with the parts as arguments."""
    return Add(parts)


def concatenate(*parts: Layer) -> Concatenate:
    """`Concatenate` with the parts as arguments."""
    return Concatenate(parts)


def multiply(*parts: Layer) -> Multiply:
    """`Multiply` with the parts as arguments."""
    return Multiply(parts)


_DECODER: msgspec.json.Decoder[Layer] = msgspec.json.Decoder(Layer)


def to_json(layer: Layer) -> bytes:
    """The layer as JSON."""
    return msgspec.json.encode(layer)


def from_json(text: Union[bytes, str]) -> Layer:
    """The layer that the JSON states.

    Raises:
        msgspec.ValidationError: an unknown field or kind, or a value out of range, with its path.
        msgspec.DecodeError: not JSON.
    """
    return _DECODER.decode(text)
