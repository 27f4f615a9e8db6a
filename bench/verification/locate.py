"""Find the layer at which two sides part, by comparing ever longer beginnings of the model."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from bench.spec.layers import GlobalAvgPool, Layer, Sequential
from bench.spec.parameters import weight_specs
from bench.spec.shapes import Node, resolve
from bench.verification.case import Case

# The way from the input to a layer: what is applied one after the other, without the branches
# beside the last.
Beginning = tuple[Node, ...]


def first_difference(case: Case, differs: Callable[[Case], bool]) -> str:
    """The path of the first layer whose output differs; empty when no beginning shows it.

    Args:
        case: the whole model's case.
        differs: whether the two sides differ on the case of a beginning.
    """
    for beginning in beginnings(case.model):
        if differs(shortened(case, beginning)):
            last = beginning[-1]
            return last.path or last.layer.kind
    return ""


def beginnings(node: Node, before: Beginning = ()) -> Iterator[Beginning]:
    """One beginning for each layer below a node, in the order of execution, merges after parts."""
    if isinstance(node.layer, Sequential):
        for child in node.children:
            yield from beginnings(child, before)
            before = (*before, child)
        return
    for child in node.children:
        yield from beginnings(child, before)
    yield (*before, node)


def shortened(case: Case, beginning: Beginning) -> Case:
    """The case of a beginning, with the weights that the whole model has there.

    A feature map at its end is averaged over its positions, so that it ends in a vector as a
    whole model does. Labels are all 0, a class that every length of vector has.
    """
    is_map = len(beginning[-1].output_shape) == 3
    tail: tuple[Layer, ...] = (GlobalAvgPool(),) if is_map else ()
    layers = tuple(node.layer for node in beginning)
    model = resolve(Sequential((*layers, *tail)), case.model.input_shape)
    weights = {
        _moved(name, old, new): case.weights[name]
        for old, new in zip(beginning, model.children)
        for name in weight_specs(old)
    }
    return case._replace(model=model, weights=weights, labels=case.labels * 0)


def _moved(name: str, old: Node, new: Node) -> str:
    """The address that a weight below `old` has below `new`."""
    return f"{new.path}/{name[len(old.path) :].lstrip('/')}"
