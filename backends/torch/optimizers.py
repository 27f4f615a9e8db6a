"""The spec's optimizers: with torch's fused kernels, and written out for a compiled step.

Both follow the formulas of `bench.spec.training`, and have the same state.
"""

# Nothing of torch is typed for mypy here, so its classes can only be subclassed as Any.
# mypy: disable-error-code="misc"

from __future__ import annotations

import math

import torch
from torch import nn

from bench.spec.training import Adam, Optimizer, Sgd

Tensors = list[torch.Tensor]


def _zeros_like(weights: Tensors) -> nn.ParameterList:
    """Make state of the weights' shapes, as parameters: torch.compile treats those as fixed."""
    return nn.ParameterList(
        nn.Parameter(torch.zeros_like(weight), requires_grad=False) for weight in weights
    )


class SgdUpdate(nn.Module):
    """Stochastic gradient descent with its velocities; none where the momentum is 0."""

    def __init__(self, spec: Sgd, weights: Tensors) -> None:
        super().__init__()
        self._spec = spec
        self.velocities = _zeros_like(weights if spec.momentum else [])

    def forward(self, weights: Tensors, gradients: Tensors, rate: torch.Tensor) -> None:
        """Update every weight."""
        spec = self._spec
        if spec.l2:
            gradients = [g + spec.l2 * w for g, w in zip(gradients, weights)]
        directions = gradients
        if spec.momentum:
            directions = [v.mul_(spec.momentum).add_(g) for v, g in zip(self.velocities, gradients)]
        if spec.nesterov:
            directions = [g + spec.momentum * v for g, v in zip(gradients, directions)]
        for weight, direction in zip(weights, directions):
            weight.sub_(rate * direction)


class AdamUpdate(nn.Module):
    """Adam with both moments and the number of steps."""

    def __init__(self, spec: Adam, weights: Tensors) -> None:
        super().__init__()
        self._spec = spec
        self.first = _zeros_like(weights)
        self.second = _zeros_like(weights)
        self.steps = _zeros_like([weights[0].new_zeros(())])

    def forward(self, weights: Tensors, gradients: Tensors, rate: torch.Tensor) -> None:
        """Update every weight."""
        spec = self._spec
        steps = self.steps[0].add_(1)
        size = rate / _one_minus_power(spec.beta1, steps)
        correction = _one_minus_power(spec.beta2, steps).sqrt()
        for w, g, m, v in zip(weights, gradients, self.first, self.second):
            if spec.l2:
                g = g + spec.l2 * w
            m.mul_(spec.beta1).add_(g, alpha=1 - spec.beta1)
            v.mul_(spec.beta2).addcmul_(g, g, value=1 - spec.beta2)
            w.sub_(size * m / (v.sqrt() / correction + spec.epsilon))


def _one_minus_power(beta: float, steps: torch.Tensor) -> torch.Tensor:
    """Return 1 - beta ** steps without the cancellation of the subtraction in early steps."""
    return -torch.expm1(steps * (math.log(beta) if beta else -math.inf))


class FusedSgd(SgdUpdate):
    """The same with the kernel of torch.optim.SGD, without the Python code that surrounds it.

    That code groups the tensors by device and type again at each step. In a small model, this takes
    longer than the kernel.
    """

    def __init__(self, spec: Sgd, weights: Tensors) -> None:
        super().__init__(spec, weights)
        # Plain tensors in a plain list: a module's list and its parameters take longer to read.
        self._velocities = [velocity.detach() for velocity in self.velocities]

    def forward(self, weights: Tensors, gradients: Tensors, rate: float) -> None:
        """Update every weight."""
        torch._fused_sgd_(
            weights,
            gradients,
            self._velocities,
            weight_decay=self._spec.l2,
            momentum=self._spec.momentum,
            lr=rate,
            dampening=0.0,
            nesterov=self._spec.nesterov,
            maximize=False,
            is_first_step=False,
        )


class FusedAdam(AdamUpdate):
    """The same with the kernel of torch.optim.Adam."""

    def __init__(self, spec: Adam, weights: Tensors) -> None:
        super().__init__(spec, weights)
        # The kernel requires a count in float32, whatever the type of the weights.
        self.steps = _zeros_like([torch.zeros((), device=weights[0].device)])
        self._moments = [[m.detach() for m in moments] for moments in (self.first, self.second)]
        self._counts = [self.steps[0]] * len(weights)

    def forward(self, weights: Tensors, gradients: Tensors, rate: float) -> None:
        """Update every weight."""
        self._counts[0].add_(1)
        torch._fused_adam_(
            weights,
            gradients,
            *self._moments,
            [],
            self._counts,
            lr=rate,
            beta1=self._spec.beta1,
            beta2=self._spec.beta2,
            weight_decay=self._spec.l2,
            eps=self._spec.epsilon,
            amsgrad=False,
            maximize=False,
        )


def update_rule(optimizer: Optimizer, weights: Tensors, fused: bool) -> nn.Module:
    """Make the update as a module (weights, gradients, rate) -> None that works in place.

    Its state dict is the optimizer's state.

    Args:
        optimizer: the spec's optimizer.
        weights: the weights that it will update.
        fused: use torch's kernels, with the rate as a number; otherwise formulas for a compiler,
            with the rate as a tensor.
    """
    if isinstance(optimizer, Sgd):
        return (FusedSgd if fused else SgdUpdate)(optimizer, weights)
    return (FusedAdam if fused else AdamUpdate)(optimizer, weights)
