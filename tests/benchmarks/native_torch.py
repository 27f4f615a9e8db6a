"""The reference for the PyTorch backend: three networks in plain PyTorch, without the suite.

Whatever the backend does, it must not be slower than this.
"""

import numpy as np
import torch
from torch import nn
from torch.func import functional_call, grad_and_value
from torch.nn.functional import cross_entropy, relu

_MOMENTUM = 0.9


def prepare(model, mode, images, labels, learning_rate):
    """Build a model and its training loop, on the CPU.

    Args:
        model: mlp, cnn or resnet_small.
        mode: eager or compile.
        images: (examples, 28, 28, 1) float32.
        labels: (examples,) classes.
        learning_rate: of SGD with momentum 0.9.

    Returns:
        A function of batches (steps, batch) of indices, which trains one step on each and returns
        the losses, (steps,), on the host. Its first call compiles.
    """
    network, images = _MODELS[model](torch.tensor(images))
    step = _MODES[mode](network, images, torch.tensor(labels).long(), learning_rate)

    def loop(batches: np.ndarray) -> np.ndarray:
        return torch.stack([step(batch) for batch in torch.from_numpy(batches)]).numpy()

    return loop


def _mlp(images):
    network = nn.Sequential(
        nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10)
    )
    return network, images.flatten(1)


def _cnn(images):
    network = nn.Sequential(
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
    return network.to(memory_format=torch.channels_last), images.permute(0, 3, 1, 2)


class _Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = None
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x):
        y = self.bn2(self.conv2(relu(self.bn1(self.conv1(x)))))
        return relu(y + (x if self.shortcut is None else self.shortcut(x)))


def _resnet_small(images):
    network = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.MaxPool2d(2),
        _Block(16, 16, 1),
        _Block(16, 32, 2),
        _Block(32, 32, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(32, 10),
    )
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.num_batches_tracked = None  # serves a cumulative average alone
    return network.to(memory_format=torch.channels_last), images.permute(0, 3, 1, 2)


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


_MODELS = {"mlp": _mlp, "cnn": _cnn, "resnet_small": _resnet_small}
_MODES = {"eager": _eager, "compile": _compiled}
