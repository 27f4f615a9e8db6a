"""The reference for the TensorFlow backend: three networks in plain TensorFlow.

Whatever the backend does, it must not be slower than this.
"""

import numpy as np
import tensorflow as tf

_MOMENTUM = 0.9


def prepare(model, mode, images, labels, learning_rate):
    """Build a model and its training loop, on the CPU.

    Args:
        model: mlp, cnn or resnet_small.
        mode: eager, graph or xla.
        images: (examples, 28, 28, 1) float32.
        labels: (examples,) classes.
        learning_rate: of SGD with momentum 0.9.

    Returns:
        A function of batches (steps, batch) of indices, which trains one step on each and returns
        the losses, (steps,), on the host. Its first call compiles.
    """
    network = _Network(pool=_halve if mode == "xla" else _max_pool)
    data = tf.constant(images), tf.constant(labels, tf.int64)
    forward = _MODELS[model](network)
    step = _make_step(network, forward, data, learning_rate)
    # XLA has fast convolutions for a CPU in a step, but not in the body of a loop.
    run = _MODES["xla_step" if mode == "xla" and model != "mlp" else mode](step)
    return lambda batches: run(tf.constant(batches, tf.int64)).numpy()


class _Network:
    """The variables of a network, and the layers that create them."""

    def __init__(self, pool):
        self.pool = pool
        self.weights = []
        self.assignments = []

    def _weight(self, values):
        self.weights.append(tf.Variable(values))
        return self.weights[-1]

    def _kernel(self, *shape):
        deviation = np.sqrt(2 / np.prod(shape[:-1]))
        seed = (0, len(self.weights))
        return self._weight(tf.random.stateless_normal(shape, seed=seed, stddev=deviation))

    def dense(self, inputs, units):
        kernel, bias = self._kernel(inputs, units), self._weight(tf.zeros(units))
        return lambda x: tf.nn.bias_add(x @ kernel, bias)

    def conv(self, inputs, filters):
        kernel, bias = self._kernel(3, 3, inputs, filters), self._weight(tf.zeros(filters))
        return lambda x: tf.nn.bias_add(tf.nn.conv2d(x, kernel, 1, "SAME"), bias)

    def conv_norm(self, inputs, filters, size=3, stride=1):
        kernel = self._kernel(size, size, inputs, filters)
        scale, shift = self._weight(tf.ones(filters)), self._weight(tf.zeros(filters))
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
    first = network.conv_norm(inputs, outputs, 3, stride)
    second = network.conv_norm(outputs, outputs)
    project = network.conv_norm(inputs, outputs, 1, stride) if stride > 1 else tf.identity
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


def _make_step(network, forward, data, learning_rate):
    images, labels = data
    velocities = [tf.Variable(tf.zeros_like(weight)) for weight in network.weights]

    def step(batch):
        with tf.GradientTape() as tape:
            logits = forward(tf.gather(images, batch))
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
                tf.gather(labels, batch), logits
            )
            loss = tf.reduce_mean(losses)
        gradients = tape.gradient(loss, network.weights)
        for weight, velocity, gradient in zip(network.weights, velocities, gradients, strict=True):
            tf.raw_ops.ResourceApplyMomentum(
                var=weight.handle,
                accum=velocity.handle,
                lr=learning_rate,
                grad=gradient,
                momentum=_MOMENTUM,
            )
        return loss

    return step


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
            losses = losses.write(index, step(batches[index]))
        return losses.stack()

    return run


_MODELS = {"mlp": _mlp, "cnn": _cnn, "resnet_small": _resnet_small}
_MODES = {"eager": _eager, "graph": _graph, "xla": _xla, "xla_step": _xla_step}
