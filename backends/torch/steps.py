"""One training step, eager or compiled: from a batch of example indices to the loss."""

# Nothing of torch is typed for mypy here, so its classes can only be subclassed as Any.
# mypy: disable-error-code="misc"

from __future__ import annotations

import copy
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Callable, cast

import torch
from torch import nn
from torch.func import functional_call, grad_and_value
from torch.nn.functional import cross_entropy

from backends.torch.modules import as_input
from backends.torch.optimizers import update_rule
from bench.spec.training import Optimizer
from bench.spec.weights import FloatArray


class Examples(nn.Module):
    """The training set on the device, (n, height, width, channels) or (n, features).

    A module with buffers, because a compiled step treats their addresses as constant.
    """

    def __init__(self, images: torch.Tensor, labels: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("images", images, persistent=False)
        self.register_buffer("labels", labels, persistent=False)

    def forward(self, batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the model's input and the labels for a batch of indices."""
        images = self.images.index_select(0, batch)
        return as_input(images), self.labels.index_select(0, batch)


@contextmanager
def expected_warnings() -> Iterator[None]:
    """Silence warnings of torch.compile about intentional settings and about itself."""
    with warnings.catch_warnings():
        # The recipe disables the caches on disk, so that compile times are comparable.
        warnings.filterwarnings("ignore", message="dynamo_pgo force disabled")
        # float32 must mean float32.
        warnings.filterwarnings("ignore", message="TensorFloat32 tensor cores")
        # Its own modules use deprecated functions of torch.
        warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"torch\.")
        yield


def compiled_model(model: nn.Module) -> Callable[[torch.Tensor], torch.Tensor]:
    """Compile the model's forward pass, one graph for each input shape."""
    return cast(
        "Callable[[torch.Tensor], torch.Tensor]",
        torch.compile(
            model,
            fullgraph=True,
            dynamic=False,
            isolate_recompiles=True,
            options={"guard_filter_fn": torch.compiler.keep_tensor_guards_unsafe},
        ),
    )


class Step(ABC):
    """A training step and the state that it changes."""

    _changing: nn.Module

    @abstractmethod
    def rates(self, learning_rates: FloatArray) -> Sequence[Any]:
        """Convert learning rates, (steps,), to arguments of `__call__`."""

    @abstractmethod
    def __call__(self, batch: Any, rate: Any) -> torch.Tensor:
        """Train on one batch and return the loss before the update, on the device."""

    def state(self) -> Any:
        """Return a copy of the weights, the running statistics and the optimizer's state."""
        return copy.deepcopy(self._changing.state_dict())

    def restore(self, state: Any) -> None:
        """Restore a copy made by `state`."""
        self._changing.load_state_dict(state)


class EagerStep(Step):
    """Forward, backward, fused update."""

    def __init__(
        self, model: nn.Module, optimizer: Optimizer, examples: nn.Module, loss_scale: float
    ) -> None:
        self._model = model
        self._loss_scale = loss_scale
        self._examples = examples
        self._weights = list(model.parameters())
        self._update = update_rule(optimizer, self._weights, fused=True)
        self._changing = nn.ModuleList([model, self._update])

    def rates(self, learning_rates: FloatArray) -> list[float]:
        """Return plain numbers."""
        rates: list[float] = learning_rates.tolist()
        return rates

    def __call__(self, batch: Any, rate: float) -> torch.Tensor:
        """See `Step.__call__`."""
        # Without the hooks of `__call__`, which cost as much as an operation.
        images, labels = self._examples.forward(batch)
        loss = cross_entropy(self._model(images), labels)
        for weight in self._weights:
            weight.grad = None
        if self._loss_scale == 1:
            loss.backward()
        else:
            (loss * self._loss_scale).backward()
        gradients = [weight.grad for weight in self._weights]
        with torch.no_grad():
            if self._loss_scale != 1:
                torch._foreach_div_(gradients, self._loss_scale)
            self._update.forward(self._weights, gradients, rate)
        return loss.detach()


class CompiledStep(Step):
    """Forward, backward and update in one graph, compiled for each batch size."""

    def __init__(
        self, model: nn.Module, optimizer: Optimizer, examples: nn.Module, loss_scale: float
    ) -> None:
        """Prepare; the first call compiles."""
        self._model = model.requires_grad_(False)
        self._loss_scale = loss_scale
        self._examples = examples
        self._weights = dict(model.named_parameters())
        self._update = update_rule(optimizer, list(self._weights.values()), fused=False)
        self._changing = nn.ModuleList([model, self._update])
        self._device = next(iter(self._weights.values())).device
        self._compiled = torch.compile(
            self._step,
            fullgraph=True,
            dynamic=False,
            # Otherwise this session could reuse the graph of another session's model.
            isolate_recompiles=True,
            options={
                "triton.cudagraphs": self._device.type == "cuda",
                # Only the values of the weights change. Checking at each call that the model is the
                # same would take a tenth of the smallest models' time.
                "guard_filter_fn": torch.compiler.keep_tensor_guards_unsafe,
            },
        )

    def _step(self, batch: Any, rate: torch.Tensor) -> torch.Tensor:
        images, labels = self._examples(batch)

        def loss_of(weights: dict[str, torch.Tensor]) -> torch.Tensor:
            loss = cross_entropy(functional_call(self._model, weights, (images,)), labels)
            return loss * self._loss_scale

        gradients, loss = grad_and_value(loss_of)(self._weights)
        directions = [gradient / self._loss_scale for gradient in gradients.values()]
        self._update(list(self._weights.values()), directions, rate)
        return loss / self._loss_scale

    def rates(self, learning_rates: FloatArray) -> Sequence[torch.Tensor]:
        """Return tensors on the device: a number would be compiled into the graph."""
        rates: Sequence[torch.Tensor] = torch.from_numpy(learning_rates).to(self._device).unbind()
        return rates

    def __call__(self, batch: Any, rate: torch.Tensor) -> torch.Tensor:
        """See `Step.__call__`."""
        loss: torch.Tensor = self._compiled(batch, rate)
        # The next replay of a CUDA graph overwrites the outputs of the previous one.
        return loss.clone() if self._device.type == "cuda" else loss
