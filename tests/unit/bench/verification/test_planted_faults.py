"""Certificates of backends with a planted fault: a check that names the fault must fail."""

import msgspec
import numpy as np
from support.planted import (
    Mutant,
    changed_layer,
    changed_optimizer,
    failed,
    relowered,
    replaced,
    summed_loss,
)

import backends.numpy.session as numpy_session
from backends.numpy.session import NumpySession
from backends.numpy.windows import Windows
from bench.spec.layers import BatchNorm, Conv, Dense, Flatten, MaxPool, sequential
from bench.spec.training import Adam, Sgd


def test_a_swapped_kernel_layout_is_detected():
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


def test_wrong_padding_at_stride_2_is_detected():
    inner = Windows.inner

    def off_by_one(self, padded):
        if self.stride != 2:
            return inner(self, padded)
        height, width = padded.shape[1:3]
        return padded[:, : height - 2 * self.pad, : width - 2 * self.pad]

    faults = failed(Mutant(planted=lambda: replaced(Windows, "inner", off_by_one)))
    assert faults["logits in inference"].where == "4.conv"
    assert faults["logits in training"].where == "4.conv"


def test_a_reversed_batch_norm_momentum_is_detected():
    reverse = changed_layer(BatchNorm, lambda layer: BatchNorm(1 - layer.momentum, layer.epsilon))
    faults = failed(Mutant(reverse))
    assert "running statistics after step 1 of SGD with momentum" in faults
    assert faults["running statistics after step 1 of Adam"].where.startswith("1.batch_norm/")
    assert not any(name.startswith(("weights", "logits")) for name in faults)


def test_a_wrong_epsilon_is_detected():
    faults = failed(Mutant(changed_layer(BatchNorm, lambda layer: BatchNorm(layer.momentum, 1e-3))))
    assert faults["logits in inference"].where == "1.batch_norm"


def test_a_missing_bias_is_detected():
    without = changed_layer(Dense, lambda layer: Dense(layer.units, bias=False))
    faults = failed(Mutant(without))
    assert "instead of" in faults["number of parameters"].where
    assert faults["round trip of the weights"].where == "6.dense/bias (missing)"
    assert faults["logits in inference"].where == "6.dense"


def test_a_summed_loss_is_detected():
    faults = failed(summed_loss())
    assert {"loss", "gradients"} <= set(faults)
    assert not any(name.startswith("logits") for name in faults)


def test_missing_nesterov_momentum_is_detected():
    plain = changed_optimizer(Sgd, lambda rule: msgspec.structs.replace(rule, nesterov=False))
    faults = failed(Mutant(plain))
    assert "weights after step 1 of SGD with Nesterov momentum" in faults
    assert all("Nesterov" in name for name in faults)


def test_decoupled_weight_decay_is_detected():
    class Decoupled(NumpySession):
        def train(self, batches, learning_rates):
            values = self._store.values.flat
            for batch, rate in zip(batches, learning_rates, strict=True):
                before = values.copy()
                super().train(batch[None], np.array([rate]))
                values -= rate * self.l2 * before
            return np.zeros(len(batches), np.float32)

    def decoupled(given):
        rule = msgspec.structs.replace(given.optimizer, l2=0.0)
        session = Decoupled(given._replace(optimizer=rule))
        session.l2 = given.optimizer.l2
        return session

    faults = failed(Mutant(session=decoupled))
    assert "weights after step 10 of SGD with L2" in faults
    assert all("L2" in name or "Adam" in name for name in faults)


def test_an_epsilon_inside_the_root_of_adam_is_detected():
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
    assert "weights after step 1 of Adam" in faults
    assert all("Adam" in name for name in faults)


def test_a_flatten_in_another_order_is_detected():
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


def test_an_extra_relu_is_detected():
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


def test_a_pool_gradient_for_every_equal_value_is_detected():
    """Theano's own pooling does this. On a constant background all values of a window are equal."""

    def to_all(right):
        def lower(layer, node, store, wanted):
            plain = right(layer, node, store, wanted)

            def forward(x, training):
                y, _ = plain(x, training)
                repeated = y.repeat(2, axis=1).repeat(2, axis=2)
                return y, lambda dy: (x == repeated) * dy.repeat(2, axis=1).repeat(2, axis=2)

            return forward

        return lower

    pooled = sequential(Conv(4, 3), MaxPool(2), Flatten(), Dense(5))
    faults = failed(Mutant(planted=lambda: relowered(MaxPool, to_all)), pooled, (8, 8, 2))
    assert {"gradients", "weights after step 1 of SGD with momentum"} <= set(faults)
    assert not any(name.startswith("logits") for name in faults)


def test_a_skipped_batch_is_detected():
    class Skipping(NumpySession):
        def train(self, batches, learning_rates):
            others = [step for step in range(len(batches)) if step != 3]
            return super().train(batches[others], learning_rates[others])

    faults = failed(Mutant(session=Skipping))
    assert "weights after step 50 of SGD with momentum" in faults
    # Only a call of several steps can skip one, and the first ten calls have one step.
    assert "weights after step 10 of SGD with momentum" not in faults


def test_a_velocity_that_includes_the_rate_is_detected():
    """Keras defines momentum like this. It differs only after the learning rate has changed."""

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
    assert "weights after step 1 of SGD with momentum" not in faults
    assert "weights after step 10 of SGD with momentum" in faults


def test_gradients_that_update_the_statistics_are_detected():
    class Careless(NumpySession):
        def gradients(self, batch):
            found = super().gradients(batch)
            self._store.keep_statistics()
            return found

    assert "weights unchanged by the checks" in failed(Mutant(session=Careless))
