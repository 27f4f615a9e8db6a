"""The sessions of PaddlePaddle by mode, and that of its dynamic graph."""

from __future__ import annotations

from typing import Any

import numpy as np
import paddle
from paddle.nn.functional import cross_entropy

from backends.api import Gradients, Session, Workload
from backends.lowering import canonical_kernel, kernel_first, takes_vectors
from backends.paddle.lowering import lower
from backends.paddle.modules import arranged
from backends.paddle.normalisation import RunningVariances
from backends.paddle.optimizers import make_optimizer
from backends.paddle.static_session import StaticSession
from backends.paddle.weights import paddle_name
from bench.spec.parameters import weight_specs
from bench.spec.weights import FloatArray, IntArray, Weights


class EagerSession(Session):
    """A model that runs operation by operation: layers, optimizer and training set as tensors."""

    def __init__(self, workload: Workload) -> None:
        paddle.seed(workload.seed)
        self._is_flat = takes_vectors(workload.model)
        self._specs = weight_specs(workload.model)
        self._model = lower(workload.model)
        tensors = self._model.state_dict()
        self._tensors = {address: tensors[paddle_name(address)] for address in self._specs}
        for address, value in workload.weights.items():
            self._tensors[address].set_value(kernel_first(value))
        self._variances = RunningVariances(workload.model, self._scale)
        self._images = self._placed(workload.images)
        # The loss uses labels of this type and shape without conversion.
        self._labels = paddle.to_tensor(workload.labels.reshape(-1, 1), "int64")
        self._rule = workload.optimizer
        self._start_optimizer()

    def _start_optimizer(self) -> None:
        self._optimizer = make_optimizer(self._rule, self._model.parameters())
        self._rate = self._rule.learning_rate

    def compile(self, steps: int, batch_size: int) -> None:
        """Train on copies of one example and undo it; see `Session.compile`."""
        state = [*self._tensors.values(), *self._optimizer.state_dict().values()]
        before = [(tensor, tensor.clone()) for tensor in state]
        held_for = self._variances.batch_size
        is_first = len(state) == len(self._tensors)
        self.train(np.zeros((1, batch_size), np.int32), np.zeros(1, np.float32))
        for tensor, value in before:
            tensor.set_value(value)
        self._variances.batch_size = held_for
        if is_first:  # the optimizer makes its state in its first step
            self._start_optimizer()

    def train(self, batches: IntArray, learning_rates: FloatArray) -> FloatArray:
        """Train one step on each batch, in order; see `Session.train`."""
        self._model.train()
        self._variances.hold_for(batches.shape[1])
        indices = paddle.to_tensor(batches).unbind(0)
        rates = learning_rates.tolist()
        losses = [self._step(batch, rate) for batch, rate in zip(indices, rates)]
        result: FloatArray = paddle.stack(losses).numpy()
        return result

    def _step(self, batch: Any, rate: float) -> Any:
        if rate != self._rate:
            self._optimizer.set_lr(rate)
            self._rate = rate
        _, loss = self._pass(batch)
        loss.backward()
        self._optimizer.step()
        self._optimizer.clear_grad(set_to_zero=False)
        return loss.detach()

    def _pass(self, batch: Any) -> tuple[Any, Any]:
        """Return the logits and the loss of a batch of indices."""
        logits = self._model(paddle.index_select(self._images, batch))
        return logits, cross_entropy(logits, paddle.index_select(self._labels, batch))

    def predict(self, images: FloatArray) -> FloatArray:
        """Return logits (n, classes); see `Session.predict`."""
        self._variances.hold_for(None)
        self._model.eval()
        with paddle.no_grad():
            logits: FloatArray = self._model(self._placed(images)).numpy()
        return logits

    def gradients(self, batch: IntArray) -> Gradients:
        """Return the gradients for one batch; see `Session.gradients`."""
        self._model.train()
        trainable = [address for address, spec in self._specs.items() if spec.trainable]
        statistics = [self._tensors[address] for address in self._specs.keys() - set(trainable)]
        before = [(tensor, tensor.clone()) for tensor in statistics]
        logits, loss = self._pass(paddle.to_tensor(batch))
        values = paddle.grad(loss, [self._tensors[address] for address in trainable])
        for tensor, value in before:  # the pass changed them
            tensor.set_value(value)
        gradients = {
            address: canonical_kernel(value.numpy()) for address, value in zip(trainable, values)
        }
        return Gradients(logits.numpy(), float(loss), gradients)

    def weights(self) -> Weights:
        """Return all weights and running statistics, in float32."""
        held = {
            address: canonical_kernel(tensor.numpy()) for address, tensor in self._tensors.items()
        }
        return self._variances.true_values(held)

    def _placed(self, images: FloatArray) -> Any:
        """Copy images to a tensor, in the model's layout."""
        return paddle.to_tensor(arranged(images, self._is_flat))

    def _scale(self, address: str, factor: float) -> None:
        tensor = self._tensors[address]
        tensor.set_value(tensor * factor)


SESSIONS: dict[str, type[Session]] = {"eager": EagerSession, "static": StaticSession}
