"""Shape inference: converts a model and an input shape to a tree of nodes with shapes.

A shape does not include the batch: it is (height, width, channels) for a feature map and
(features,) for a vector. The path of a layer leads to it from the root, for example
`2.add/0.sequential/1.conv`. A weight's address is its layer's path and its own name, for example
`2.add/0.sequential/1.conv/kernel`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import singledispatch
from typing import Any

import msgspec

from bench.errors import ShapeError
from bench.spec.layers import (
    Add,
    AvgPool,
    Concatenate,
    Conv,
    Dense,
    DepthwiseConv,
    Flatten,
    GlobalAvgPool,
    Layer,
    LayerBase,
    MaxPool,
    Multiply,
    Sequential,
)

Shape = tuple[int, ...]

DEEPEST = 50  # nested composites; published models nest fewer than ten


class Node(msgspec.Struct, frozen=True):
    """A layer in its model.

    Attributes:
        layer: the layer.
        path: from the root; empty for the root.
        input_shape: shape of the layer's input.
        output_shape: shape of the layer's output.
        children: nodes of a composite's parts.
    """

    layer: Layer
    path: str
    input_shape: Shape
    output_shape: Shape
    children: tuple[Node, ...] = ()

    def walk(self) -> Iterator[Node]:
        """Yield this node and all nodes below it in the order of execution, composites first."""
        yield self
        for child in self.children:
            yield from child.walk()


def resolve(layer: Layer, input_shape: Shape, path: str = "") -> Node:
    """Infer the shape of every layer.

    Args:
        layer: the model.
        input_shape: (height, width, channels) or (features,).
        path: the path of `layer`; empty for the root.

    Raises:
        ShapeError: a layer does not fit the shape of its input, or is nested too deeply.
    """
    if path.count("/") >= DEEPEST:
        raise ShapeError(path, "layers nested deeper", f"at most {DEEPEST} nested composites")
    children = _children(layer, input_shape, path)
    output_shape = _output_shape(layer, input_shape, path, children)
    return Node(layer, path, input_shape, output_shape, children)


def _join(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name


def _children(layer: Layer, shape: Shape, path: str) -> tuple[Node, ...]:
    nodes: list[Node] = []
    for index, part in enumerate(getattr(layer, "parts", ())):
        child = resolve(part, shape, _join(path, f"{index}.{part.kind}"))
        nodes.append(child)
        if isinstance(layer, Sequential):
            shape = child.output_shape
    return tuple(nodes)


@singledispatch
def _output_shape(layer: Any, shape: Shape, path: str, children: tuple[Node, ...]) -> Shape:
    """Return the shape of the input; the rules of layers that change it are registered below."""
    if not isinstance(layer, LayerBase):
        raise ShapeError(path, f"{layer!r:.60}", "a layer of bench.spec")
    return shape


def _expect_map(layer: LayerBase, shape: Shape, path: str) -> None:
    if len(shape) != 3:
        raise ShapeError(path, f"the shape {shape}", f"(height, width, channels) for {layer.kind}")


def _windows(layer: LayerBase, shape: Shape, path: str, size: int, stride: int, pad: int) -> Shape:
    _expect_map(layer, shape, path)
    height, width = ((extent + 2 * pad - size) // stride + 1 for extent in shape[:2])
    if height < 1 or width < 1:
        wanted = f"at least {size - 2 * pad} x {size - 2 * pad} for a window of {size}"
        raise ShapeError(path, f"a map of {shape[0]} x {shape[1]}", wanted)
    return height, width, shape[2]


def padding_of(padding: str, size: int) -> int:
    """Return the number of rows and columns that the padding adds on each side of the map."""
    return size // 2 if padding == "same" else 0


@_output_shape.register
def _(layer: Dense, shape: Shape, path: str, children: tuple[Node, ...]) -> Shape:
    if len(shape) != 1:
        mend = "(features,): put Flatten or GlobalAvgPool before Dense"
        raise ShapeError(path, f"the shape {shape}", mend)
    return (layer.units,)


@_output_shape.register
def _(layer: Conv, shape: Shape, path: str, children: tuple[Node, ...]) -> Shape:
    pad = padding_of(layer.padding, layer.kernel)
    height, width, channels = _windows(layer, shape, path, layer.kernel, layer.stride, pad)
    if channels % layer.groups:
        raise ShapeError(path, f"{channels} channels", f"a multiple of groups={layer.groups}")
    return height, width, layer.filters


@_output_shape.register
def _(layer: DepthwiseConv, shape: Shape, path: str, children: tuple[Node, ...]) -> Shape:
    pad = padding_of(layer.padding, layer.kernel)
    return _windows(layer, shape, path, layer.kernel, layer.stride, pad)


@_output_shape.register
def _(layer: MaxPool, shape: Shape, path: str, children: tuple[Node, ...]) -> Shape:
    pad = padding_of(layer.padding, layer.size)
    return _windows(layer, shape, path, layer.size, layer.steps, pad)


@_output_shape.register
def _(layer: AvgPool, shape: Shape, path: str, children: tuple[Node, ...]) -> Shape:
    return _windows(layer, shape, path, layer.size, layer.steps, 0)


@_output_shape.register
def _(layer: GlobalAvgPool, shape: Shape, path: str, children: tuple[Node, ...]) -> Shape:
    _expect_map(layer, shape, path)
    return (shape[2],)


@_output_shape.register
def _(layer: Flatten, shape: Shape, path: str, children: tuple[Node, ...]) -> Shape:
    size = 1
    for extent in shape:
        size *= extent
    return (size,)


@_output_shape.register
def _(layer: Sequential, shape: Shape, path: str, children: tuple[Node, ...]) -> Shape:
    return children[-1].output_shape


@_output_shape.register
def _(layer: Add, shape: Shape, path: str, children: tuple[Node, ...]) -> Shape:
    shapes = [child.output_shape for child in children]
    if len(set(shapes)) > 1:
        raise ShapeError(path, f"branches of shapes {shapes}", "branches of one shape")
    return shapes[0]


@_output_shape.register
def _(layer: Concatenate, shape: Shape, path: str, children: tuple[Node, ...]) -> Shape:
    shapes = [child.output_shape for child in children]
    if len({branch[:-1] for branch in shapes}) > 1:
        raise ShapeError(path, f"branches of shapes {shapes}", "one height and width")
    return (*shapes[0][:-1], sum(branch[-1] for branch in shapes))


@_output_shape.register
def _(layer: Multiply, shape: Shape, path: str, children: tuple[Node, ...]) -> Shape:
    shapes = [child.output_shape for child in children]
    largest = max(shapes, key=len)
    if any(branch not in (largest, largest[-1:]) for branch in shapes):
        wanted = f"each branch of shape {largest} or {largest[-1:]}"
        raise ShapeError(path, f"branches of shapes {shapes}", wanted)
    return largest
