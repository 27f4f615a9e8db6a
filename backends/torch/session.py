"""One model in PyTorch: its data and its steps on one device."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Callable, Optional

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from backends.api import Gradients, Session, Workload
from backends.lowering import takes_vectors
from backends.torch import platform
from backends.torch.lowering import lower
from backends.torch.modules import Mixed, as_input
from backends.torch.pipeline import Loader, Scaled
from backends.torch.steps import (
    CompiledStep,
    EagerStep,
    Examples,
    compiled_model,
    expected_warnings,
)
from backends.torch.weights import canonical_weights, place_weights
from bench.spec.parameters import weight_specs
from bench.spec.precision import loss_scale
from bench.spec.weights import FloatArray, IntArray, Weights

# The type of the weights, and the type in which layers compute.
_PRECISIONS = {
    "float32": (torch.float32, torch.float32),
    "tf32": (torch.float32, torch.float32),
    "bfloat16": (torch.float32, torch.bfloat16),
    "float16": (torch.float32, torch.float16),
    "float64": (torch.float64, torch.float64),
}
_STEPS = {"eager": EagerStep, "compile": CompiledStep}
# A CUDA graph is compiled in the first step, recorded in the second and replayed from the third.
_WARM_UP_STEPS = 3


class TorchSession(Session):
    """A model and its training set, in one precision, on one device."""

    def __init__(self, workload: Workload) -> None:
        torch.manual_seed(workload.seed)
        self._device = platform.torch_device(workload.device)
        kept, self._dtype = _PRECISIONS[workload.precision]
        self._loss_scale = loss_scale(workload.precision)
        self._is_flat = takes_vectors(workload.model)
        self._specs = weight_specs(workload.model)
        with torch.device("meta"):
            model = lower(workload.model)
        self._model = model.to(kept).to_empty(device=self._device)
        self._model.to(memory_format=torch.channels_last)
        place_weights(self._model, workload.weights)
        self._examples, self._batches = self._input(workload)
        self._net = Mixed(self._model, self._dtype) if self._dtype != kept else self._model
        self._mode = workload.mode
        self._step = _STEPS[workload.mode](
            self._trained(self._net), workload.optimizer, self._examples, self._loss_scale
        )

    def _trained(self, net: nn.Module) -> nn.Module:
        """Return the net as a step calls it."""
        return net

    def compile(self, steps: int, batch_size: int) -> None:
        """Run a few steps on copies of one example and undo them; see `Session.compile`."""
        before = self._step.state()
        batches = np.zeros((_WARM_UP_STEPS, batch_size), np.int32)
        self.train(batches, np.zeros(_WARM_UP_STEPS, np.float32))
        self._step.restore(before)
        platform.synchronise(self._device)

    def train(self, batches: IntArray, learning_rates: FloatArray) -> FloatArray:
        """Train one step on each batch, in order; see `Session.train`."""
        self._net.train()
        rates = self._step.rates(learning_rates)
        with expected_warnings():
            steps = zip(self._batches(batches), rates)
            losses = torch.stack([self._step(batch, rate) for batch, rate in steps])
        platform.synchronise(self._device)
        return _array(losses.float())

    def predict(self, images: FloatArray) -> FloatArray:
        """Return logits (n, classes); see `Session.predict`."""
        self._net.eval()
        with torch.inference_mode():
            return _array(self._net(as_input(self._images(images))))

    def predictor(self, batch_size: int) -> Callable[[FloatArray], FloatArray]:
        """Return a compiled predictor in mode compile, except for dense layers on the CPU.

        There, calling a compiled function costs more than it saves.
        """
        if self._mode != "compile" or (self._is_flat and self._device.type == "cpu"):
            return self.predict
        self._net.eval()
        compiled = compiled_model(self._net)

        def predict(images: FloatArray) -> FloatArray:
            with torch.inference_mode(), expected_warnings():
                return _array(compiled(as_input(self._images(images))))

        return predict

    def gradients(self, batch: IntArray) -> Gradients:
        """Return the gradients for one batch; see `Session.gradients`."""
        self._net.train()
        weights = {
            name: weight.detach().requires_grad_() for name, weight in self._net.named_parameters()
        }
        # The pass updates running statistics in place: in these copies.
        statistics = {name: value.clone() for name, value in self._net.named_buffers()}
        images, labels = self._examples(next(iter(self._batches(batch[np.newaxis]))))
        logits = functional_call(self._net, (weights, statistics), (images,))
        loss = cross_entropy(logits, labels)
        scaled = torch.autograd.grad(loss * self._loss_scale, list(weights.values()))
        names = (name for name, _ in self._model.named_parameters())
        gradients = {name: value / self._loss_scale for name, value in zip(names, scaled)}
        trainable = [address for address, spec in self._specs.items() if spec.trainable]
        return Gradients(_array(logits), loss.item(), canonical_weights(gradients, trainable))

    def weights(self) -> Weights:
        """Return all weights and running statistics, in the session's precision."""
        return canonical_weights(self._model.state_dict(), self._specs)

    def device_memory(self) -> Optional[int]:
        """Return the peak of torch's allocator; only CUDA and ROCm have one."""
        if self._device.type != "cuda":
            return None
        return int(torch.cuda.max_memory_allocated(self._device))

    def _input(self, workload: Workload) -> tuple[nn.Module, Callable[[IntArray], Iterable[Any]]]:
        """Return the module from a batch to images and labels, and the source of batches."""
        labels = torch.tensor(workload.labels, dtype=torch.int64)
        if workload.input == "resident":
            examples = Examples(self._images(workload.images), labels.to(self._device))
            return examples, lambda batches: torch.from_numpy(batches).to(self._device).unbind()
        pixels = torch.tensor(self._shaped(workload.images))
        return Scaled(self._dtype), Loader(pixels, labels, self._device)

    def _shaped(self, images: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return images.reshape(len(images), -1) if self._is_flat else images

    def _images(self, images: FloatArray) -> torch.Tensor:
        """Copy images to the device, in the layout that batches need."""
        return torch.tensor(self._shaped(images), dtype=self._dtype, device=self._device)


def _array(tensor: torch.Tensor) -> FloatArray:
    array: FloatArray = tensor.detach().cpu().numpy()
    return array
