"""The layers: immutable values that describe a model without naming a framework.

Every layer is a function from one feature map to one feature map. There are eleven simple layers
and four composites, which contain their parts in a tuple. Layers can be written as JSON and read
again (`to_json`, `from_json`); the field `kind` names the class.
"""

from __future__ import annotations

import re
from typing import Any, Callable, Optional, Union

import msgspec

ACTIVATIONS = ("relu", "relu6", "sigmoid", "tanh", "silu", "gelu")
PADDINGS = ("same", "valid")


def kind_of(class_name: str) -> str:
    """Return the name of a class in JSON and in weight paths: `AvgPool` is `avg_pool`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", class_name).lower()


LARGEST = 2**31 - 1  # the limit of every size and count of a layer


def _require(condition: bool, received: str, expected: str) -> None:
    if not condition:
        raise ValueError(f"received {received}, expected {expected}")


def _positive(**fields: Any) -> None:
    for name, value in fields.items():
        is_whole = isinstance(value, int) and not isinstance(value, bool)
        fits = is_whole and 1 <= value <= LARGEST
        wanted = f"{name} to be a whole number from 1 to {LARGEST:,}"
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
    """The base of all layers, which makes them immutable and gives them a JSON form."""

    @property
    def kind(self) -> str:
        """Return the layer's name in JSON and in weight paths."""
        return kind_of(type(self).__name__)


class Dense(LayerBase, frozen=True):
    """A matrix product and a bias: (features,) -> (units,).

    The weights are kernel (in, out) and bias (out,).

    Attributes:
        units: number of outputs.
        bias: whether the layer has a bias.
    """

    units: int
    bias: bool = True

    def __post_init__(self) -> None:
        _positive(units=self.units)


class Conv(LayerBase, frozen=True):
    """Two-dimensional cross-correlation: (h, w, c) -> (h', w', filters).

    The weights are kernel (k, k, c / groups, filters) and bias (filters,). The output size is
    (size + 2 * padding - k) // stride + 1.

    Attributes:
        filters: number of output channels.
        kernel: height and width k of the kernel.
        stride: step between windows, in pixels.
        padding: "same" adds k // 2 zeros on every side for any stride; "valid" adds none.
        groups: groups of channels that are convolved separately.
        bias: whether the layer has a bias.
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
    """A convolution with one k x k filter per channel: (h, w, c) -> (h', w', c).

    The weights are kernel (k, k, 1, c) and bias (c,).

    Attributes:
        kernel: height and width k of the filters.
        stride: as for `Conv`.
        padding: as for `Conv`.
        bias: whether the layer has a bias.
    """

    kernel: int
    stride: int = 1
    padding: str = "same"
    bias: bool = True

    def __post_init__(self) -> None:
        _positive(kernel=self.kernel, stride=self.stride)
        _padding(self.padding, self.kernel, "kernel")


class BatchNorm(LayerBase, frozen=True):
    """Batch normalisation of each channel over batch, height and width (Ioffe and Szegedy, 2015).

    In training, y = scale * (x - mean) / sqrt(variance + epsilon) + shift with the batch's mean and
    biased variance. The running statistics become r = momentum * r + (1 - momentum) * batch, with
    the batch's unbiased variance (divided by n - 1). Inference uses the running statistics. The
    weights are scale, shift, mean and variance, each (c,).

    Attributes:
        momentum: weight of the previous running statistics.
        epsilon: added to the variance.
    """

    momentum: float = 0.9
    epsilon: float = 1e-5

    def __post_init__(self) -> None:
        _require(0 <= self.momentum < 1, f"momentum={self.momentum!r}", "0 <= momentum < 1")
        _require(0 < self.epsilon < 1, f"epsilon={self.epsilon!r}", "0 < epsilon < 1")


class Activation(LayerBase, frozen=True):
    """An elementwise function.

    Attributes:
        function: one of `ACTIVATIONS`. `gelu` is the exact form with erf; `silu` is x * sigmoid(x).
    """

    function: str

    def __post_init__(self) -> None:
        known = ", ".join(ACTIVATIONS)
        _require(self.function in ACTIVATIONS, f"function={self.function!r}", f"one of {known}")


class MaxPool(LayerBase, frozen=True):
    """The largest value of each window.

    Attributes:
        size: height and width of the window.
        stride: step between windows; None means the size.
        padding: "same" adds size // 2 values of minus infinity on every side; "valid" adds none.
    """

    size: int
    stride: Optional[int] = None
    padding: str = "valid"

    def __post_init__(self) -> None:
        _positive(size=self.size, stride=self.steps)
        _padding(self.padding, self.size, "size")

    @property
    def steps(self) -> int:
        """Return the stride, which is the size by default."""
        return self.size if self.stride is None else self.stride


class AvgPool(LayerBase, frozen=True):
    """The mean of each window, without padding.

    Attributes:
        size: height and width of the window.
        stride: step between windows; None means the size.
    """

    size: int
    stride: Optional[int] = None

    def __post_init__(self) -> None:
        _positive(size=self.size, stride=self.steps)

    @property
    def steps(self) -> int:
        """Return the stride, which is the size by default."""
        return self.size if self.stride is None else self.stride


class GlobalAvgPool(LayerBase, frozen=True):
    """The mean of each channel: (h, w, c) -> (c,)."""


class Flatten(LayerBase, frozen=True):
    """All values as a vector, in the order height, width, channel: (h, w, c) -> (h * w * c,)."""


class Dropout(LayerBase, frozen=True):
    """In training, random values are set to zero and the others are divided by 1 - rate.

    Attributes:
        rate: share of the values that is set to zero.
    """

    rate: float

    def __post_init__(self) -> None:
        _require(0 <= self.rate < 1, f"rate={self.rate!r}", "0 <= rate < 1")


class Identity(LayerBase, frozen=True):
    """The unchanged input, for example the shortcut of a residual block."""


class _Composite(LayerBase, frozen=True):
    """A layer that consists of other layers."""

    parts: tuple[Layer, ...]

    def __post_init__(self) -> None:
        is_layers = isinstance(self.parts, tuple) and all(
            isinstance(part, LayerBase) for part in self.parts
        )
        if not is_layers:  # printing all parts of a deep model would take too long
            _require(False, f"parts={self.parts!r:.80}", "a tuple of layers")
        _require(len(self.parts) > 0, "no parts", "at least one layer")


class Sequential(_Composite, frozen=True):
    """Each part is applied to the output of the previous part."""


class Add(_Composite, frozen=True):
    """The sum of the outputs of all parts for the same input; all outputs have the same shape."""


class Concatenate(_Composite, frozen=True):
    """The outputs of all parts for the same input, concatenated along the channels."""


class Multiply(_Composite, frozen=True):
    """The elementwise product of the parts' outputs; one of shape (c,) scales channels of a map."""


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
    """Make a `Sequential` of the arguments."""
    return Sequential(parts)


def add(*parts: Layer) -> Add:
    """Make an `Add` of the arguments."""
    return Add(parts)


def concatenate(*parts: Layer) -> Concatenate:
    """Make a `Concatenate` of the arguments."""
    return Concatenate(parts)


def multiply(*parts: Layer) -> Multiply:
    """Make a `Multiply` of the arguments."""
    return Multiply(parts)


def replace_layers(layer: Layer, change: Callable[[Layer], Layer]) -> Layer:
    """Return the model with `change` applied to every layer that has no parts."""
    if not isinstance(layer, _Composite):
        return change(layer)
    return msgspec.structs.replace(
        layer, parts=tuple(replace_layers(part, change) for part in layer.parts)
    )


_DECODER: msgspec.json.Decoder[Layer] = msgspec.json.Decoder(Layer)


def to_json(layer: Layer) -> bytes:
    """Encode a layer as JSON."""
    return msgspec.json.encode(layer)


def from_json(text: Union[bytes, str]) -> Layer:
    """Decode a layer from JSON.

    Raises:
        msgspec.ValidationError: an unknown field or kind, or an invalid value; names its path.
        msgspec.DecodeError: the text is not JSON.
    """
    return _DECODER.decode(text)
