"""Find the first layer whose output differs, by comparing ever longer prefixes of the model."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from bench.spec.layers import GlobalAvgPool, Layer, Sequential
from bench.spec.parameters import weight_specs
from bench.spec.shapes import Node, resolve
from bench.verification.case import Case

# The layers on the path from the model's input to a layer, in order. Branches that run in parallel
# to the last layer are not part of it.
Prefix = tuple[Node, ...]


def first_difference(case: Case, differs: Callable[[Case], bool]) -> str:
    """Find the first layer whose output differs.

    Args:
        case: the case of the whole model.
        differs: returns whether backend and reference differ on the case of a prefix.

    Returns:
        The path of the layer, or an empty string if no prefix differs.
    """
    for prefix in prefixes(case.model):
        if differs(prefix_case(case, prefix)):
            last = prefix[-1]
            return last.path or last.layer.kind
    return ""


def prefixes(node: Node, before: Prefix = ()) -> Iterator[Prefix]:
    """Yield one prefix per layer below a node, in the order of execution.

    A layer that merges branches comes after the layers of its branches.

    Args:
        node: the model, or a part of it.
        before: the layers from the model's input to the node.
    """
    if isinstance(node.layer, Sequential):
        for child in node.children:
            yield from prefixes(child, before)
            before = (*before, child)
        return
    for child in node.children:
        yield from prefixes(child, before)
    yield (*before, node)


def prefix_case(case: Case, prefix: Prefix) -> Case:
    """Create the case of a prefix, with the weights that the whole model has there.

    A prefix that ends with a feature map is followed by a global average, since a session needs
    one vector per image. All labels are 0, which is a class for any length of the vector.
    """
    is_map = len(prefix[-1].output_shape) == 3
    tail: tuple[Layer, ...] = (GlobalAvgPool(),) if is_map else ()
    layers = tuple(node.layer for node in prefix)
    model = resolve(Sequential((*layers, *tail)), case.model.input_shape)
    weights = {
        _new_address(name, old, new): case.weights[name]
        for old, new in zip(prefix, model.children)
        for name in weight_specs(old)
    }
    return case._replace(model=model, weights=weights, labels=case.labels * 0)


def _new_address(address: str, old: Node, new: Node) -> str:
    """Return the address below `new` of a weight with this address below `old`."""
    return f"{new.path}/{address[len(old.path) :].lstrip('/')}"
