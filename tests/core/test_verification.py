"""The certificate passes what is right and names what is wrong: every fault is planted for real.

The faults are planted in the NumPy backend in float32, so that the test needs no framework; the
certificate knows nothing of that.
"""

from contextlib import contextmanager, nullcontext

import msgspec
import numpy as np
import pytest

import backends.numpy.lowering as lowering
import backends.numpy.session as numpy_session
from backends.api import Device
from backends.numpy.session import NumpyBackend, NumpySession
from backends.numpy.windows import Windows
from bench.spec.layers import (
    Activation,
    Add,
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool,
    Identity,
    Sequential,
    add,
    sequential,
)
from bench.spec.parameters import weight_specs
from bench.spec.shapes import resolve
from bench.spec.training import Adam, Sgd
from bench.verification.case import OPTIMIZERS, make_case, without_dropout
from bench.verification.certificate import TOLERANCES
from bench.verification.certify import Subject, certify
from bench.verification.compare import compare_weights, relative_difference
from bench.verification.locate import beginnings
from bench.verification.reference import make_reference, reference_for

MODEL = sequential(
    Conv(4, 3),
    BatchNorm(momentum=0.8),
    Activation("tanh"),
    add(Identity(), sequential(Conv(4, 3), Activation("silu"))),
    Conv(5, 3, stride=2),
    Flatten(),
    Dense(6),
    Activation("silu"),
    Dense(5),
)
SHAPE = (8, 6, 2)


class Mutant(NumpyBackend):
    """NumPy with a fault: another workload, another session, or another function inside it."""

    def __init__(self, workload=lambda given: given, session=NumpySession, planted=nullcontext):
        self._workload = workload
        self._session = session
        self._planted = planted

    def session(self, given):
        with self._planted():
            made = self._session(self._workload(given), np.float32)
        return Planted(made, self._planted)


class Planted:
    """A session whose every call runs with the fault planted, and the reference without."""

    def __init__(self, session, planted):
        self._inner = session
        self._planted = planted

    def __getattr__(self, name):
        method = getattr(self._inner, name)

        def call(*arguments):
            with self._planted():
                return method(*arguments)

        return call


def checks_of(backend, model=MODEL, shape=SHAPE):
    return certify(Subject(backend, Device("cpu"), "eager", "float32"), model, shape, OPTIMIZERS)


def failed(backend):
    return {check.name: check for check in checks_of(backend) if not check.passed}


def changed_layer(kind, change):
    """A workload whose layers of a kind are changed, with the weights that these then have."""

    def replace(layer):
        if isinstance(layer, kind):
            return change(layer)
        parts = getattr(layer, "parts", None)
        return msgspec.structs.replace(layer, parts=tuple(map(replace, parts))) if parts else layer

    def workload(given):
        model = resolve(replace(given.model.layer), given.model.input_shape)
        weights = {name: given.weights[name] for name in weight_specs(model)}
        return given._replace(model=model, weights=weights)

    return workload


def changed_optimizer(kind, change):
    return lambda given: (
        given._replace(optimizer=change(given.optimizer))
        if isinstance(given.optimizer, kind)
        else given
    )


@contextmanager
def replaced(holder, name, value):
    before = getattr(holder, name)
    setattr(holder, name, value)
    try:
        yield
    finally:
        setattr(holder, name, before)


@contextmanager
def relowered(kind, lower):
    """Lower a layer in another way, made from the right one."""
    right = lowering._lower.dispatch(kind)
    lowering._lower.register(kind, lower(right))
    try:
        yield
    finally:
        lowering._lower.register(kind, right)


def test_what_is_right_passes():
    checks = checks_of(NumpyBackend(1))
    assert [check for check in checks if not check.passed] == []
    names = {check.name for check in checks}
    assert {"number of parameters", "round trip of the weights", "loss", "gradients"} <= names
    for optimizer in ("SGD with momentum", "SGD with Nesterov momentum", "SGD with L2", "Adam"):
        for steps in (1, 10, 50):
            assert f"weights after {steps} of {optimizer}" in names
            assert f"running statistics after {steps} of {optimizer}" in names


def test_float64_passes_its_tighter_tolerance():
    subject = Subject(NumpyBackend(1), Device("cpu"), "eager", "float64")
    checks = certify(subject, MODEL, SHAPE, OPTIMIZERS)
    assert all(check.passed for check in checks)
    assert TOLERANCES["float64"].forward == 1e-9


def test_a_swapped_kernel_layout_is_named():
    def swap(weights):
        is_kernel = {name: value.ndim == 4 for name, value in weights.items()}
        return {
            name: value.swapaxes(0, 1) if is_kernel[name] else value
            for name, value in weights.items()
        }

    class Swapping(NumpySession):
        def weights(self):
            return swap(super().weights())

    backend = Mutant(lambda given: given._replace(weights=swap(given.weights)), Swapping)
    faults = failed(backend)
    assert "round trip of the weights" not in faults
    assert faults["logits in inference"].where == "0.conv"


def test_wrong_padding_at_stride_2_is_named():
    inner = Windows.inner

    def off_by_one(self, padded):
        if self.stride != 2:
            return inner(self, padded)
        height, width = padded.shape[1:3]
        return padded[:, : height - 2 * self.pad, : width - 2 * self.pad]

    faults = failed(Mutant(planted=lambda: replaced(Windows, "inner", off_by_one)))
    assert faults["logits in inference"].where == "4.conv"
    assert faults["logits in training"].where == "4.conv"


def test_batch_norm_momentum_reversed_is_named():
    reverse = changed_layer(BatchNorm, lambda layer: BatchNorm(1 - layer.momentum, layer.epsilon))
    faults = failed(Mutant(reverse))
    assert "running statistics after 1 of SGD with momentum" in faults
    assert faults["running statistics after 1 of Adam"].where.startswith("1.batch_norm/")
    assert not any(name.startswith(("weights", "logits")) for name in faults)


def test_an_epsilon_of_a_thousandth_is_named():
    faults = failed(Mutant(changed_layer(BatchNorm, lambda layer: BatchNorm(layer.momentum, 1e-3))))
    assert faults["logits in inference"].where == "1.batch_norm"


def test_a_missing_bias_is_named():
    without = changed_layer(Dense, lambda layer: Dense(layer.units, bias=False))
    faults = failed(Mutant(without))
    assert "instead of" in faults["number of parameters"].where
    assert faults["round trip of the weights"].where == "6.dense/bias (missing)"
    assert faults["logits in inference"].where == "6.dense"


def test_a_summed_loss_is_named():
    def summed(logits, labels):
        loss, gradient = right(logits, labels)
        return loss * len(labels), gradient * len(labels)

    right = numpy_session.softmax_cross_entropy
    plant = lambda: replaced(numpy_session, "softmax_cross_entropy", summed)  # noqa: E731
    faults = failed(Mutant(planted=plant))
    assert {"loss", "gradients"} <= set(faults)
    assert not any(name.startswith("logits") for name in faults)


def test_nesterov_ignored_is_named():
    plain = changed_optimizer(Sgd, lambda rule: msgspec.structs.replace(rule, nesterov=False))
    faults = failed(Mutant(plain))
    assert "weights after 1 of SGD with Nesterov momentum" in faults
    assert all("Nesterov" in name for name in faults)


def test_weight_decay_decoupled_is_named():
    class Decoupled(NumpySession):
        def train(self, batches, learning_rates):
            values = self._store.values.flat
            for batch, rate in zip(batches, learning_rates, strict=True):
                before = values.copy()
                super().train(batch[None], np.array([rate]))
                values -= rate * self.l2 * before
            return np.zeros(len(batches), np.float32)

    def decoupled(given, dtype):
        rule = msgspec.structs.replace(given.optimizer, l2=0.0)
        session = Decoupled(given._replace(optimizer=rule), dtype)
        session.l2 = given.optimizer.l2
        return session

    faults = failed(Mutant(session=decoupled))
    assert "weights after 10 of SGD with L2" in faults
    assert all("L2" in name or "Adam" in name for name in faults)


def test_adams_epsilon_inside_the_root_is_named():
    def inside(rule, weights, gradients):
        if not isinstance(rule, Adam):
            return right(rule, weights, gradients)
        mean, square, steps = np.zeros_like(weights), np.zeros_like(weights), 0

        def update(rate):
            nonlocal steps
            steps += 1
            gradient = gradients + rule.l2 * weights
            mean[:] = rule.beta1 * mean + (1 - rule.beta1) * gradient
            square[:] = rule.beta2 * square + (1 - rule.beta2) * gradient**2
            root = np.sqrt(square / (1 - rule.beta2**steps) + rule.epsilon)
            weights[:] -= rate * mean / (1 - rule.beta1**steps) / root

        return update

    right = numpy_session.update_rule
    faults = failed(Mutant(planted=lambda: replaced(numpy_session, "update_rule", inside)))
    assert "weights after 1 of Adam" in faults
    assert all("Adam" in name for name in faults)


def test_a_flatten_in_another_order_is_named():
    def channels_first(right):
        def lower(layer, node, store, wanted):
            def forward(x, training):
                moved = x.transpose(0, 3, 1, 2)
                back = lambda dy: dy.reshape(moved.shape).transpose(0, 2, 3, 1)  # noqa: E731
                return moved.reshape(len(x), -1), back

            return forward

        return lower

    faults = failed(Mutant(planted=lambda: relowered(Flatten, channels_first)))
    assert faults["logits in inference"].where == "5.flatten"


def test_an_extra_relu_is_named():
    def with_relu(right):
        def lower(layer, node, store, wanted):
            plain = right(layer, node, store, wanted)

            def forward(x, training):
                y, backward = plain(x, training)
                return np.maximum(y, 0), lambda dy: backward(dy * (y > 0))

            return forward

        return lower

    faults = failed(Mutant(planted=lambda: relowered(Dense, with_relu)))
    assert faults["logits in inference"].where == "6.dense"


def test_a_skipped_batch_is_named():
    class Skipping(NumpySession):
        def train(self, batches, learning_rates):
            kept = [step for step in range(len(batches)) if step != 3]
            return super().train(batches[kept], learning_rates[kept])

    faults = failed(Mutant(session=Skipping))
    assert "weights after 50 of SGD with momentum" in faults
    assert "weights after 10 of SGD with momentum" not in faults, "there, calls have one step"


def test_a_velocity_that_holds_the_rate_is_named():
    """Keras's form of momentum, which differs once the learning rate changes."""

    def holding(rule, weights, gradients):
        if not isinstance(rule, Sgd) or rule.nesterov:
            return right(rule, weights, gradients)
        velocity = np.zeros_like(weights)

        def update(rate):
            velocity[:] = rule.momentum * velocity - rate * (gradients + rule.l2 * weights)
            weights[:] += velocity

        return update

    right = numpy_session.update_rule
    faults = failed(Mutant(planted=lambda: replaced(numpy_session, "update_rule", holding)))
    assert "weights after 1 of SGD with momentum" not in faults
    assert "weights after 10 of SGD with momentum" in faults


def test_gradients_that_change_the_statistics_are_named():
    class Careless(NumpySession):
        def gradients(self, batch):
            found = super().gradients(batch)
            self._store.keep_statistics()
            return found

    assert "weights unchanged by the checks" in failed(Mutant(session=Careless))


def test_values_that_are_not_finite_never_pass():
    good = np.ones(3)
    assert relative_difference(np.array([1, np.nan, 1]), good, 1.0) is None
    assert relative_difference(np.array([1, np.inf, 1]), good, 1.0) is None
    assert relative_difference(np.ones(4), good, 1.0) is None
    check = compare_weights("w", {"a": np.array([np.nan])}, {"a": np.ones(1)}, 1.0)
    assert (check.passed, check.where) == (False, "a")


def test_every_layer_has_a_beginning_and_a_merge_comes_after_its_parts():
    last = [beginning[-1].path for beginning in beginnings(resolve(MODEL, SHAPE))]
    assert last[3:7] == [
        "3.add/0.identity",
        "3.add/1.sequential/0.conv",
        "3.add/1.sequential/1.activation",
        "3.add",
    ]
    assert last[-1] == "8.dense"


def summed_loss():
    def summed(logits, labels):
        loss, gradient = right(logits, labels)
        return loss * len(labels), gradient * len(labels)

    right = numpy_session.softmax_cross_entropy
    return Mutant(planted=lambda: replaced(numpy_session, "softmax_cross_entropy", summed))


@pytest.mark.parametrize("precision", ["bfloat16", "float16", "tf32"])
@pytest.mark.parametrize(
    ("make", "name"),
    [
        (summed_loss, "gradients"),
        (
            lambda: Mutant(
                changed_layer(BatchNorm, lambda layer: BatchNorm(1 - layer.momentum, layer.epsilon))
            ),
            "running statistics after 1 of SGD with momentum",
        ),
        (
            lambda: Mutant(
                changed_optimizer(Sgd, lambda rule: msgspec.structs.replace(rule, nesterov=False))
            ),
            "weights after 1 of SGD with Nesterov momentum",
        ),
        (
            lambda: Mutant(changed_layer(Dense, lambda layer: Dense(layer.units, bias=False))),
            "logits in inference",
        ),
        (
            lambda: Mutant(changed_layer(Activation, lambda layer: Activation("relu"))),
            "logits in training",
        ),
    ],
)
def test_faults_are_named_within_the_tolerance_of_a_short_precision(make, name, precision):
    """The fault alone: NumPy's float32 stands for a backend in the short type."""
    subject = Subject(make(), Device("cpu"), "eager", precision)
    checks = {check.name: check for check in certify(subject, MODEL, SHAPE, OPTIMIZERS)}
    assert not checks[name].passed


def test_dropout_is_set_to_zero_wherever_it_is():
    layer = sequential(Dropout(0.5), add(Identity(), sequential(Dropout(0.2))))
    assert without_dropout(layer) == Sequential(
        (Dropout(0.0), Add((Identity(), Sequential((Dropout(0.0),)))))
    )


def test_the_reference_is_kept_and_a_damaged_one_made_anew(tmp_path):
    case = make_case(sequential(GlobalAvgPool(), Dense(3)), (4, 4, 2))
    made = reference_for(case, OPTIMIZERS, tmp_path)
    (path,) = tmp_path.glob("*.npz")
    kept = reference_for(case, OPTIMIZERS, tmp_path)
    for reference in (kept, make_reference(case, OPTIMIZERS)):
        np.testing.assert_array_equal(reference.answers.inference, made.answers.inference)
        trained, wanted = (each.trajectories["Adam"][50] for each in (reference, made))
        for name in wanted:
            np.testing.assert_array_equal(trained[name], wanted[name])
    path.write_bytes(path.read_bytes()[:100])
    again = reference_for(case, OPTIMIZERS, tmp_path)
    np.testing.assert_array_equal(again.answers.inference, made.answers.inference)
    assert path.stat().st_size > 100
