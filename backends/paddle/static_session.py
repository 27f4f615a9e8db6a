"""One model as programs that an executor runs: Paddle's static graph, a whole step per call.

`paddle.jit.to_static` compiles only a model's forward and backward pass. In Paddle 3 it rejects
updates, and a step around it took longer than one of the dynamic graph.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property
from typing import Any, Callable, NamedTuple

import numpy as np
import numpy.typing as npt
import paddle
from paddle import static
from paddle.nn.functional import cross_entropy
from paddle.nn.initializer import Constant
from paddle.utils import unique_name

from backends.api import Gradients, Session, Workload
from backends.lowering import canonical_kernel, kernel_first, takes_vectors
from backends.paddle.lowering import lower
from backends.paddle.modules import arranged
from backends.paddle.normalisation import RunningVariances
from backends.paddle.optimizers import make_optimizer
from backends.paddle.weights import paddle_name
from bench.spec.parameters import weight_specs
from bench.spec.weights import FloatArray, IntArray, Weights

_PLACE = paddle.CPUPlace()


class _Program(NamedTuple):
    """A program, the program that initialises its variables, and the variables to return."""

    main: Any
    start: Any
    results: list[Any]


class StaticSession(Session):
    """Programs that share the variables of one scope: weights, optimizer's state and data."""

    def __init__(self, workload: Workload) -> None:
        """Write the program of a step, initialise its variables, and place weights and data."""
        self._model = workload.model
        self._rule = workload.optimizer
        self._is_flat = takes_vectors(workload.model)
        self._specs = weight_specs(workload.model)
        self._trainable = [address for address, spec in self._specs.items() if spec.trainable]
        self._names: dict[str, str] = {}  # variable names in the scope, by address
        self._scope = static.Scope()
        self._executor = static.Executor(_PLACE)
        data = {
            "images": arranged(workload.images, self._is_flat),
            # The loss uses labels of this type and shape without conversion.
            "labels": workload.labels.astype(np.int64).reshape(-1, 1),
        }
        self._shapes = {name: list(values.shape) for name, values in data.items()}
        self._step = self._program(self._training_step)
        with self._static_mode():
            paddle.seed(workload.seed)
            self._executor.run(self._step.start)
        # The variables that a step changes, and the learning rate.
        self._state = sorted(set(self._scope.local_var_names()) - set(data))
        for name, values in data.items():
            self._set(name, values)
        for address, value in workload.weights.items():
            self._set(self._names[address], kernel_first(value))
        self._variances = RunningVariances(workload.model, self._scale)
        self._rate = workload.optimizer.learning_rate

    def compile(self, steps: int, batch_size: int) -> None:
        """Train on copies of one example and undo it; see `Session.compile`."""
        before = {name: self._get(name) for name in self._state}
        rate, held_for = self._rate, self._variances.batch_size
        self.train(np.zeros((1, batch_size), np.int32), np.zeros(1, np.float32))
        for name, value in before.items():
            self._set(name, value)
        self._rate, self._variances.batch_size = rate, held_for

    def train(self, batches: IntArray, learning_rates: FloatArray) -> FloatArray:
        """Train one step on each batch, in order; see `Session.train`."""
        self._variances.hold_for(batches.shape[1])
        losses = []
        with self._static_mode():
            for batch, rate in zip(batches, learning_rates.tolist()):
                if rate != self._rate:
                    self._set_rate(rate)
                losses += self._run(self._step, batch=batch)
        return np.array(losses, np.float32)

    def predict(self, images: FloatArray) -> FloatArray:
        """Return logits (n, classes); see `Session.predict`."""
        self._variances.hold_for(None)
        with self._static_mode():
            results = self._run(self._inference, given=arranged(images, self._is_flat))
        logits: FloatArray = results[0]
        return logits

    def gradients(self, batch: IntArray) -> Gradients:
        """Return the gradients for one batch; see `Session.gradients`."""
        statistics = [self._names[address] for address in self._specs.keys() - self._trainable]
        before = {name: self._get(name) for name in statistics}
        with self._static_mode():
            logits, loss, *values = self._run(self._differentiation, batch=batch)
        for name, value in before.items():  # the pass changed them
            self._set(name, value)
        gradients = {
            address: canonical_kernel(value) for address, value in zip(self._trainable, values)
        }
        return Gradients(logits, float(loss), gradients)

    def weights(self) -> Weights:
        """Return all weights and running statistics, in float32."""
        held = {address: canonical_kernel(self._get(name)) for address, name in self._names.items()}
        return self._variances.true_values(held)

    # The programs.

    @cached_property
    def _inference(self) -> _Program:
        return self._program(self._inference_pass)

    @cached_property
    def _differentiation(self) -> _Program:
        return self._program(self._differentiating_pass)

    def _program(self, write: Callable[[], list[Any]]) -> _Program:
        """Make the program that `write` builds.

        Names are numbered from 0 in each program, so that a weight has the same name in all.
        """
        main, start = static.Program(), static.Program()
        with ExitStack() as settings:
            settings.enter_context(self._static_mode())
            settings.enter_context(static.program_guard(main, start))
            settings.enter_context(unique_name.guard())
            settings.enter_context(warnings.catch_warnings())
            # Paddle's own layers read the place of a variable, which programs do not have.
            warnings.filterwarnings("ignore", message="Tensor do not have 'place' interface")
            return _Program(main, start, write())

    def _training_step(self) -> list[Any]:
        weights, _, loss = self._training_pass()
        make_optimizer(self._rule, weights).minimize(loss)
        return [loss]

    def _differentiating_pass(self) -> list[Any]:
        weights, logits, loss = self._training_pass()
        return [logits, loss, *static.gradients(loss, weights)]

    def _training_pass(self) -> tuple[list[Any], Any, Any]:
        """Return the trainable weights, the logits and the loss of a batch of indices."""
        model = lower(self._model)
        tensors = model.state_dict()
        weights = {address: tensors[paddle_name(address)] for address in self._specs}
        self._names = {address: weight.name for address, weight in weights.items()}
        batch = static.data("batch", [None], "int32")
        images, labels = self._variable("images", "float32"), self._variable("labels", "int64")
        logits = model(paddle.index_select(images, batch))
        loss = cross_entropy(logits, paddle.index_select(labels, batch))
        return [weights[address] for address in self._trainable], logits, loss

    def _inference_pass(self) -> list[Any]:
        model = lower(self._model)
        model.eval()
        return [model(static.data("given", [None, *self._shapes["images"][1:]], "float32"))]

    def _variable(self, name: str, dtype: str) -> Any:
        """Make a variable that no step changes."""
        fixed = paddle.ParamAttr(name=name, trainable=False, initializer=Constant(0))
        return static.create_parameter(self._shapes[name], dtype, attr=fixed)

    def _run(self, program: _Program, **given: npt.NDArray[Any]) -> list[Any]:
        """Run a program and return copies of its results; call it inside `_static_mode`."""
        results: list[Any] = self._executor.run(
            program.main, feed=given, fetch_list=program.results
        )
        return results

    @contextmanager
    def _static_mode(self) -> Iterator[None]:
        """Make Paddle write and run programs with this session's variables, inside the context."""
        was_dynamic = paddle.in_dynamic_mode()
        paddle.enable_static()
        try:
            with static.scope_guard(self._scope):
                yield
        finally:
            if was_dynamic:
                paddle.disable_static(_PLACE)

    # The variables.

    def _get(self, name: str) -> npt.NDArray[Any]:
        return np.array(self._scope.find_var(name).get_tensor())

    def _set(self, name: str, value: npt.NDArray[Any]) -> None:
        self._scope.find_var(name).get_tensor().set(value, _PLACE)

    def _scale(self, address: str, factor: float) -> None:
        name = self._names[address]
        self._set(name, self._get(name) * np.float32(factor))

    def _set_rate(self, rate: float) -> None:
        name = next(name for name in self._state if name.startswith("learning_rate"))
        self._set(name, np.full_like(self._get(name), rate))
        self._rate = rate
