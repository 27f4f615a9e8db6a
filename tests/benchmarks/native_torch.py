"""The reference for the PyTorch backend: three networks in plain PyTorch, without the suite.

Whatever the backend does, it must not be slower than the fastest of these loops.
"""

import numpy as np
import torch
from torch import nn
from torch.func import functional_call, grad_and_value
from torch.nn.functional import cross_entropy, relu
from torch.utils.data import DataLoader, TensorDataset

_MOMENTUM = 0.9


def prepare(model, form, images, labels, weights, learning_rate):
    """Build a model and its training loop, on the CPU.

    Args:
        model: mlp, cnn or resnet_small.
        form: a value of `forms`.
        images: (examples, 28, 28, 1) float32.
        labels: (examples,) classes.
        weights: initial values of the trainable weights, in the spec's order and layouts.
        learning_rate: of SGD with momentum 0.9.

    Returns:
        A function of batches (steps, batch) of indices, which trains one step on each and returns
        the losses, (steps,), on the host. Its first call compiles.
    """
    network = _MODELS[model]()
    _place(network, weights)
    images = torch.tensor(images)
    images = images.flatten(1) if model == "mlp" else images.permute(0, 3, 1, 2)
    return form(network, images, torch.tensor(labels).long(), learning_rate)


def _place(network, weights):
    """Copy weights to a network: dense kernels (inputs, units), others (k, k, inputs, filters)."""
    for parameter, value in zip(network.parameters(), weights, strict=True):
        value = torch.tensor(value)
        parameter.data.copy_(value.T if value.dim() == 2 else value.permute(*_ORDER[value.dim()]))


_ORDER = {1: (0,), 4: (3, 2, 0, 1)}


class _Flatten(nn.Module):
    """Flattens in the order height, width, channel: a view of a map in channels-last layout."""

    def forward(self, x):
        return x.permute(0, 2, 3, 1).flatten(1)


def _mlp():
    return nn.Sequential(
        nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10)
    )


def _cnn():
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        _Flatten(),
        nn.Linear(64 * 7 * 7, 128),
        nn.ReLU(),
        nn.Linear(128, 10),
    )


class _Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.shortcut = None
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)

    def forward(self, x):
        y = self.bn2(self.conv2(relu(self.bn1(self.conv1(x)))))
        return relu(y + (x if self.shortcut is None else self.shortcut(x)))


def _resnet_small():
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
    return network


def _documented(network, images, labels, learning_rate):
    """Follow "Optimizing Model Parameters" in PyTorch's tutorials."""
    optimizer = torch.optim.SGD(network.parameters(), learning_rate, _MOMENTUM)
    dataset = TensorDataset(images, labels)

    def loop(batches):
        losses = []
        for x, y in DataLoader(dataset, batch_sampler=batches.tolist()):
            loss = cross_entropy(network(x), y)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            losses.append(loss.item())
        return np.array(losses)

    return loop


def _documented_compile(network, *rest):
    """Follow "Introduction to torch.compile": the model is compiled, the loop is the same."""
    return _documented(torch.compile(network), *rest)


def _over(step):
    def loop(batches):
        return torch.stack([step(batch) for batch in torch.from_numpy(batches).unbind()]).numpy()

    return loop


def _fused(network, images, labels, learning_rate):
    """Call the kernel of torch.optim.SGD, without the Python code around it."""
    network = network.to(memory_format=torch.channels_last)
    weights = list(network.parameters())
    velocities = [torch.zeros_like(weight) for weight in weights]
    settings = {"weight_decay": 0.0, "dampening": 0.0, "nesterov": False, "maximize": False}

    def step(batch):
        loss = cross_entropy(network(images.index_select(0, batch)), labels.index_select(0, batch))
        for weight in weights:
            weight.grad = None
        loss.backward()
        with torch.no_grad():
            torch._fused_sgd_(
                weights,
                [weight.grad for weight in weights],
                velocities,
                momentum=_MOMENTUM,
                lr=learning_rate,
                is_first_step=False,
                **settings,
            )
        return loss.detach()

    return _over(step)


def _one_graph(network, images, labels, learning_rate):
    """Compile the forward pass, the backward pass and the update together."""
    network = network.to(memory_format=torch.channels_last)
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

    return _over(step)


_MODELS = {"mlp": _mlp, "cnn": _cnn, "resnet_small": _resnet_small}
_FORMS = {
    "eager": {"documented": _documented, "fused": _fused},
    "compile": {"documented": _documented_compile, "one graph": _one_graph},
}


def forms(model, mode):
    """Return by name the form of the documentation and the fastest form that is known."""
    return _FORMS[mode]
