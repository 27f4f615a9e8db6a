"""The opponent of the PyTorch backend: two networks trained in plain torch, without the suite.

Whatever the backend does, it must not be slower than this.
"""

from time import perf_counter

import numpy as np
import torch
from torch import nn
from torch.func import functional_call, grad_and_value
from torch.nn.functional import cross_entropy

_MOMENTUM = 0.9
_WARM_UP = 5


def train(
    model: str,
    mode: str,
    images: np.ndarray,
    labels: np.ndarray,
    batches: np.ndarray,
    learning_rate: float,
) -> float:
    """Build the model, warm up, and train one step on each batch, on the CPU.

    Args:
        model: mlp or cnn.
        mode: eager or compile.
        images: (examples, 28, 28, 1) float32.
        labels: (examples,) classes.
        batches: (steps, batch) indices.
        learning_rate: of SGD with momentum 0.9.

    Returns:
        The seconds that all steps took.
    """
    network, data = _MODELS[model](torch.from_numpy(images))
    step = _MODES[mode](network, data, torch.from_numpy(labels).long(), learning_rate)
    indices = torch.from_numpy(batches)
    for batch in indices[:_WARM_UP]:
        step(batch)
    start = perf_counter()
    losses = torch.stack([step(batch) for batch in indices])
    seconds = perf_counter() - start
    assert losses.isfinite().all()
    return seconds


def _mlp(images):
    network = nn.Sequential(
        nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10)
    )
    return network, images.flatten(1)


class _ChannelsLast(nn.Module):
    def forward(self, x):
        return x.permute(0, 3, 1, 2)


def _cnn(images):
    network = nn.Sequential(
        _ChannelsLast(),
        nn.Conv2d(1, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64 * 7 * 7, 128),
        nn.ReLU(),
        nn.Linear(128, 10),
    )
    return network.to(memory_format=torch.channels_last), images


def _eager(network, images, labels, learning_rate):
    optimizer = torch.optim.SGD(network.parameters(), learning_rate, _MOMENTUM, fused=True)

    def step(batch):
        loss = cross_entropy(network(images.index_select(0, batch)), labels.index_select(0, batch))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def _compiled(network, images, labels, learning_rate):
    weights = {name: weight.detach() for name, weight in network.named_parameters()}
    velocities = {name: torch.zeros_like(weight) for name, weight in weights.items()}

    @torch.compile(fullgraph=True, dynamic=False)
    def step(batch):
        x, y = images.index_select(0, batch), labels.index_select(0, batch)
        gradients, loss = grad_and_value(
            lambda weights: cross_entropy(functional_call(network, weights, (x,)), y)
        )(weights)
        for name, weight in weights.items():
            velocity = velocities[name].mul_(_MOMENTUM).add_(gradients[name])
            weight.sub_(learning_rate * velocity)
        return loss

    return step


_MODELS = {"mlp": _mlp, "cnn": _cnn}
_MODES = {"eager": _eager, "compile": _compiled}
