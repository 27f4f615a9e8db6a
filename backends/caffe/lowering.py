"""From a resolved model to a network of Caffe's layers.

Caffe's feature maps are (n, c, h, w), vectors (n, features).
"""

from __future__ import annotations

from functools import reduce, singledispatch
from typing import Any, NamedTuple, Optional

from caffe import NetSpec, layers, params

from backends.api import Unsupported, unsupported_layer
from backends.caffe.weights import Place, bias_place, convolution_place, dense_place
from backends.lowering import convolution_of, register_sequence
from bench.spec import layers as spec
from bench.spec.parameters import weight_name
from bench.spec.shapes import Node, Shape, padding_of

_ACTIVATIONS = {
    "relu": layers.ReLU,
    "sigmoid": layers.Sigmoid,
    "tanh": layers.TanH,
    "silu": layers.Swish,
}


class Features(NamedTuple):
    """The output of a layer.

    Attributes:
        top: Caffe's object for it in a `NetSpec`.
        is_map: whether it is a map, not a vector.
        flattened: (height, width, channels) of the map that was flattened to a vector, where the
            values are still ordered by channel.
        is_free: whether the next layer may overwrite it: nothing else reads it, and its layer does
            not need it in the backward pass.
    """

    top: Any
    is_map: bool
    flattened: Optional[Shape] = None
    is_free: bool = False


class Lowered(NamedTuple):
    """A model as Caffe networks.

    Attributes:
        training: the network that ends in the loss, for batches of one image.
        inference: the network that ends in the logits, for batches of one image.
        logits: the name of the logits' blob in both.
        places: the places of the weights.
    """

    training: Any
    inference: Any
    logits: str
    places: tuple[Place, ...]


class _Network:
    """A network under construction."""

    def __init__(self) -> None:
        self.spec = NetSpec()
        self.places: list[Place] = []

    def add(self, name: str, top: Any) -> Any:
        """Add a named layer."""
        self.spec[name] = top
        return top


def lower(model: Node) -> Lowered:
    """Return the model as two networks over the same weights.

    Raises:
        Unsupported: a layer that Caffe does not support.
    """
    network = _Network()
    *size, channels = model.input_shape
    is_map = len(size) == 2
    shape = [1, channels, *size]
    data = network.add("data", layers.Input(shape={"dim": shape}))
    features = _lower(model.layer, model, Features(data, is_map), network)
    logits = _in_order("logits", features, network)
    inference = network.spec.to_proto()
    label = network.add("label", layers.Input(shape={"dim": [1]}))
    network.add("loss", layers.SoftmaxWithLoss(logits.top, label))
    training = network.spec.to_proto()
    return Lowered(training, inference, str(training.layer[-1].bottom[0]), tuple(network.places))


def _name(node: Node) -> str:
    return node.path or "model"


@singledispatch
def _lower(layer: Any, node: Node, x: Features, network: _Network) -> Features:
    raise unsupported_layer("Caffe", node)


def _in_order(name: str, x: Features, network: _Network) -> Features:
    """Return features in the spec's order, for layers that need it."""
    if x.flattened is None:
        return x
    height, width, channels = x.flattened
    split = layers.Reshape(x.top, shape={"dim": [0, channels, height, width]})
    turned = layers.Permute(network.add(f"{name}/split", split), order=[0, 2, 3, 1])
    flat = layers.Flatten(network.add(f"{name}/turned", turned))
    return Features(network.add(f"{name}/flat", flat), is_map=False)


def _keep_product(node: Node, kernel: Place, network: _Network) -> None:
    network.places.append(kernel)
    if getattr(node.layer, "bias", False):
        network.places.append(bias_place(weight_name(node.path, "bias"), kernel.layer))


register_sequence(_lower)


@_lower.register
def _(layer: spec.Dense, node: Node, x: Features, network: _Network) -> Features:
    name = _name(node)
    top = layers.InnerProduct(x.top, num_output=layer.units, bias_term=layer.bias)
    kernel = dense_place(weight_name(node.path, "kernel"), name, x.flattened)
    _keep_product(node, kernel, network)
    return Features(network.add(name, top), is_map=False, is_free=True)


@_lower.register(spec.Conv)
@_lower.register(spec.DepthwiseConv)
def _(layer: Any, node: Node, x: Features, network: _Network) -> Features:
    name = _name(node)
    _, filters, groups, padding = convolution_of(node)
    top = layers.Convolution(
        x.top,
        num_output=filters,
        kernel_size=layer.kernel,
        stride=layer.stride,
        pad=padding,
        group=groups,
        bias_term=layer.bias,
    )
    kernel = convolution_place(weight_name(node.path, "kernel"), name)
    _keep_product(node, kernel, network)
    return Features(network.add(name, top), is_map=True, is_free=True)


@_lower.register
def _(layer: spec.BatchNorm, node: Node, x: Features, network: _Network) -> Features:
    raise Unsupported(
        f"Caffe does not support layer batch_norm at {node.path or 'the root'}: this CPU build "
        "does not contain the layer's training pass"
    )


@_lower.register
def _(layer: spec.Activation, node: Node, x: Features, network: _Network) -> Features:
    if layer.function == "relu6":
        return x._replace(top=_relu6(_name(node), x.top, network), is_free=False)
    if layer.function not in _ACTIVATIONS:
        raise Unsupported(
            f"Caffe does not support activation {layer.function} at {node.path or 'the root'}"
        )
    # Only ReLU's gradient can be computed from its output alone.
    in_place = x.is_free and layer.function == "relu"
    top = _ACTIVATIONS[layer.function](x.top, in_place=in_place)
    return x._replace(top=network.add(_name(node), top), is_free=False)


def _relu6(name: str, x: Any, network: _Network) -> Any:
    """Return ReLU of x minus ReLU of x - 6."""
    rising = network.add(f"{name}/rising", layers.ReLU(x))
    above = network.add(f"{name}/above", layers.Power(x, shift=-6.0))
    falling = network.add(f"{name}/falling", layers.ReLU(above, in_place=True))
    return network.add(name, layers.Eltwise(rising, falling, coeff=[1.0, -1.0]))


@_lower.register
def _(layer: spec.MaxPool, node: Node, x: Features, network: _Network) -> Features:
    padding = padding_of(layer.padding, layer.size)
    return _pooled(node, x, network, pool=params.Pooling.MAX, pad=padding)


@_lower.register
def _(layer: spec.AvgPool, node: Node, x: Features, network: _Network) -> Features:
    return _pooled(node, x, network, pool=params.Pooling.AVE)


def _pooled(node: Node, x: Features, network: _Network, **settings: Any) -> Features:
    layer: Any = node.layer
    top = layers.Pooling(
        x.top,
        kernel_size=layer.size,
        stride=layer.steps,
        # By default, Caffe adds a window that extends over the edge.
        round_mode=params.Pooling.FLOOR,
        **settings,
    )
    return Features(network.add(_name(node), top), is_map=True)


@_lower.register
def _(layer: spec.GlobalAvgPool, node: Node, x: Features, network: _Network) -> Features:
    name = _name(node)
    top = layers.Pooling(x.top, pool=params.Pooling.AVE, global_pooling=True)
    means = network.add(f"{name}/means", top)
    return Features(network.add(name, layers.Flatten(means)), is_map=False)


@_lower.register
def _(layer: spec.Flatten, node: Node, x: Features, network: _Network) -> Features:
    if not x.is_map:
        return x
    height, width, channels = node.input_shape
    is_mixed = channels > 1 and height * width > 1
    top = network.add(_name(node), layers.Flatten(x.top))
    return Features(top, is_map=False, flattened=node.input_shape if is_mixed else None)


@_lower.register
def _(layer: spec.Dropout, node: Node, x: Features, network: _Network) -> Features:
    if layer.rate == 0:
        return x
    top = layers.Dropout(x.top, dropout_ratio=layer.rate, in_place=x.is_free)
    return x._replace(top=network.add(_name(node), top), is_free=False)


def _branches(node: Node, x: Features, network: _Network) -> list[Features]:
    """Return the outputs of the parts, all of which read x."""
    shared = x._replace(is_free=False)
    outputs = (_lower(child.layer, child, shared, network) for child in node.children)
    return [
        _in_order(f"{_name(node)}/{number}", output, network)
        for number, output in enumerate(outputs)
    ]


@_lower.register
def _(layer: spec.Add, node: Node, x: Features, network: _Network) -> Features:
    outputs = _branches(node, x, network)
    if len(outputs) == 1:
        return outputs[0]
    top = layers.Eltwise(*(output.top for output in outputs))
    return Features(network.add(_name(node), top), outputs[0].is_map, is_free=True)


@_lower.register
def _(layer: spec.Concatenate, node: Node, x: Features, network: _Network) -> Features:
    outputs = _branches(node, x, network)
    top = layers.Concat(*(output.top for output in outputs), axis=1)
    return Features(network.add(_name(node), top), outputs[0].is_map)


@_lower.register
def _(layer: spec.Multiply, node: Node, x: Features, network: _Network) -> Features:
    outputs = sorted(_branches(node, x, network), key=lambda output: not output.is_map)
    names = iter(f"{_name(node)}/product{number}" for number in range(len(outputs)))
    return reduce(lambda a, b: _product(next(names), a, b, network), outputs)


def _product(name: str, a: Features, b: Features, network: _Network) -> Features:
    """Multiply; the second may be (n, c) and scales the channels of the first."""
    if a.is_map == b.is_map:
        top = layers.Eltwise(a.top, b.top, operation=params.Eltwise.PROD)
    else:
        top = layers.Scale(a.top, b.top, axis=0)
    return Features(network.add(name, top), a.is_map)
