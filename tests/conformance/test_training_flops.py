"""The count of a training step's operations, against PyTorch's own counter."""

import pytest

from bench.spec.layers import DepthwiseConv
from bench.spec.models import MODELS, build
from bench.spec.parameters import count_training_flops
from bench.spec.shapes import resolve


def without_depthwise():
    """Models of small images; PyTorch's counter takes a depthwise convolution for a full one."""
    for name, entry in MODELS.items():
        model = resolve(build(name), entry.input_shape)
        has_depthwise = any(isinstance(node.layer, DepthwiseConv) for node in model.walk())
        if entry.input_shape == (28, 28, 1) and not has_depthwise:
            yield name


@pytest.mark.parametrize("name", list(without_depthwise()))
def test_the_count_equals_pytorchs_count(name):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    from torch.utils.flop_counter import FlopCounterMode

    from backends.lowering import takes_vectors
    from backends.torch.lowering import lower
    from backends.torch.modules import as_input

    model = resolve(build(name), (28, 28, 1))
    images = torch.rand(2, 28, 28, 1)
    if takes_vectors(model):
        images = images.reshape(2, -1)
    network = lower(model).train()
    with FlopCounterMode(display=False) as counter:
        network(as_input(images)).sum().backward()
    assert counter.get_total_flops() == 2 * count_training_flops(model)
