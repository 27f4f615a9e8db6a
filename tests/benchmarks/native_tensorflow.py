"""The reference for the TensorFlow backend: three networks in plain TensorFlow.

Whatever the backend does, it must not be slower than the fastest of these loops.
"""

import numpy as np
import tensorflow as tf

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
    make_loop, pool = form
    network = _Network(weights, pool)
    return make_loop(network, _MODELS[model](network), images, labels, learning_rate)


class _Network:
    """The variables of a network, and the layers that create them."""

    def __init__(self, weights, pool):
        self.pool = pool
        self.weights = [tf.Variable(value) for value in weights]
        self._unused = iter(self.weights)

    def _next(self, *shape):
        weight = next(self._unused)
        if tuple(weight.shape) != shape:
            raise ValueError(f"the next weight is {weight.shape}, not {shape}")
        return weight

    def dense(self, inputs, units):
        kernel, bias = self._next(inputs, units), self._next(units)
        return lambda x: tf.nn.bias_add(x @ kernel, bias)

    def conv(self, inputs, filters):
        kernel, bias = self._next(3, 3, inputs, filters), self._next(filters)
        return lambda x: tf.nn.bias_add(tf.nn.conv2d(x, kernel, 1, "SAME"), bias)

    def conv_norm(self, inputs, filters, size=3, stride=1):
        kernel = self._next(size, size, inputs, filters)
        scale, shift = self._next(filters), self._next(filters)
        mean = tf.Variable(tf.zeros(filters), trainable=False)
        variance = tf.Variable(tf.ones(filters), trainable=False)
        sides = [[0, 0], [size // 2] * 2, [size // 2] * 2, [0, 0]]

        def forward(x):
            if stride == 1:
                x = tf.nn.conv2d(x, kernel, 1, "SAME")
            else:  # "SAME" would pad less before than after
                x = tf.nn.conv2d(tf.pad(x, sides), kernel, stride, "VALID")
            y, new_mean, new_variance, *_ = tf.raw_ops.FusedBatchNormV3(
                x=x,
                scale=scale,
                offset=shift,
                mean=mean,
                variance=variance,
                epsilon=1e-5,
                exponential_avg_factor=0.1,
                is_training=True,
            )
            mean.assign(new_mean)
            variance.assign(new_variance)
            return y

        return forward


def _max_pool(x):
    return tf.nn.max_pool2d(x, 2, 2, "VALID")


def _halve(x):
    """The form of the pool that XLA's CPU compiler vectorises."""
    rows = tf.maximum(x[:, ::2], x[:, 1::2])
    return tf.maximum(rows[:, :, ::2], rows[:, :, 1::2])


def _mlp(network):
    first, second, third = (
        network.dense(784, 128),
        network.dense(128, 64),
        network.dense(64, 10),
    )

    def forward(x):
        x = tf.reshape(x, (-1, 784))
        return third(tf.nn.relu(second(tf.nn.relu(first(x)))))

    return forward


def _cnn(network):
    first, second = network.conv(1, 32), network.conv(32, 64)
    third, fourth = network.dense(7 * 7 * 64, 128), network.dense(128, 10)

    def forward(x):
        x = network.pool(tf.nn.relu(first(x)))
        x = network.pool(tf.nn.relu(second(x)))
        return fourth(tf.nn.relu(third(tf.reshape(x, (-1, 7 * 7 * 64)))))

    return forward


def _block(network, inputs, outputs, stride):
    project = network.conv_norm(inputs, outputs, 1, stride) if stride > 1 else tf.identity
    first = network.conv_norm(inputs, outputs, 3, stride)
    second = network.conv_norm(outputs, outputs)
    return lambda x: tf.nn.relu(second(tf.nn.relu(first(x))) + project(x))


def _resnet_small(network):
    stem = network.conv_norm(1, 16)
    blocks = [_block(network, *sizes) for sizes in ((16, 16, 1), (16, 32, 2), (32, 32, 1))]
    last = network.dense(32, 10)

    def forward(x):
        x = network.pool(tf.nn.relu(stem(x)))
        for block in blocks:
            x = block(x)
        return last(tf.reduce_mean(x, (1, 2)))

    return forward


def _differentiate(network, forward, x, y):
    with tf.GradientTape() as tape:
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(y, forward(x))
        loss = tf.reduce_mean(losses)
    return loss, tape.gradient(loss, network.weights)


def _zeros_like(weights):
    return [tf.Variable(tf.zeros_like(weight), trainable=False) for weight in weights]


def _documented(compiled):
    """Follow the custom training loops in TensorFlow's documentation, compiled by `compiled`."""

    def make_loop(network, forward, images, labels, learning_rate):
        velocities = _zeros_like(network.weights)

        @compiled
        def step(x, y):
            loss, gradients = _differentiate(network, forward, x, y)
            for weight, velocity, gradient in zip(
                network.weights, velocities, gradients, strict=True
            ):
                velocity.assign(_MOMENTUM * velocity + gradient)
                weight.assign_sub(learning_rate * velocity)
            return loss

        def loop(batches):
            return np.array(
                [step(tf.constant(images[batch]), tf.constant(labels[batch])) for batch in batches]
            )

        return loop

    return make_loop


def _resident(make_run):
    """Keep the data on the device and update weights with the kernel for momentum."""

    def make_loop(network, forward, images, labels, learning_rate):
        images, labels = tf.constant(images), tf.constant(labels, tf.int64)
        velocities = _zeros_like(network.weights)

        def step(batch):
            x, y = tf.gather(images, batch), tf.gather(labels, batch)
            loss, gradients = _differentiate(network, forward, x, y)
            for weight, velocity, gradient in zip(
                network.weights, velocities, gradients, strict=True
            ):
                tf.raw_ops.ResourceApplyMomentum(
                    var=weight.handle,
                    accum=velocity.handle,
                    lr=learning_rate,
                    grad=gradient,
                    momentum=_MOMENTUM,
                )
            return loss

        run = make_run(step)
        return lambda batches: run(tf.constant(batches, tf.int64)).numpy()

    return make_loop


def _eager(step):
    return lambda batches: tf.stack([step(batch) for batch in tf.unstack(batches)])


def _graph(step):
    return tf.function(_loop(step))


def _xla(step):
    return tf.function(_loop(step), jit_compile=True)


def _xla_step(step):
    return tf.function(_loop(tf.function(step, jit_compile=True)))


def _loop(step):
    def run(batches):
        losses = tf.TensorArray(tf.float32, size=batches.shape[0], element_shape=())
        for index in tf.range(batches.shape[0]):
            losses = losses.write(index, step(tf.gather(batches, index)))
        return losses.stack()

    return run


_MODELS = {"mlp": _mlp, "cnn": _cnn, "resnet_small": _resnet_small}


def forms(model, mode):
    """Return by name the form of the documentation and the fastest form that is known."""
    compiled = {
        "eager": lambda step: step,
        "graph": tf.function,
        "xla": tf.function(jit_compile=True),
    }
    # XLA has fast convolutions for a CPU in a step, but not in the body of a loop.
    fast = {"eager": _eager, "graph": _graph, "xla": _xla if model == "mlp" else _xla_step}
    return {
        "documented": (_documented(compiled[mode]), _max_pool),
        "resident": (_resident(fast[mode]), _halve if mode == "xla" else _max_pool),
    }
