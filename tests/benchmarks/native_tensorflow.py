"""The opponent of the TensorFlow backend: two networks in plain TensorFlow, without the suite.

Whatever the backend does, it must not be slower than this.
"""

from time import perf_counter

import numpy as np
import tensorflow as tf

_MOMENTUM = 0.9


def train(
    model: str,
    mode: str,
    images: np.ndarray,
    labels: np.ndarray,
    batches: np.ndarray,
    learning_rate: float,
) -> float:
    """Build the model, warm up, and train one step on each batch, on the CPU.

    The warm-up trains on all batches, too: it compiles what is then timed.

    Args:
        model: mlp or cnn.
        mode: eager, graph or xla.
        images: (examples, 28, 28, 1) float32.
        labels: (examples,) classes.
        batches: (steps, batch) indices.
        learning_rate: of SGD with momentum 0.9.

    Returns:
        The seconds that all steps took.
    """
    network, weights = _MODELS[model]()
    data = tf.constant(images), tf.constant(labels, tf.int64)
    step = _make_step(network, weights, data, learning_rate)
    # XLA has fast convolutions for a CPU in a step, but not in the body of a loop.
    run = _MODES["xla_step" if (model, mode) == ("cnn", "xla") else mode](step)
    indices = tf.constant(batches, tf.int64)
    run(indices[:1] if mode == "eager" else indices).numpy()
    start = perf_counter()
    losses = run(indices).numpy()
    seconds = perf_counter() - start
    assert np.isfinite(losses).all()
    return seconds


def _make_step(network, weights, data, learning_rate):
    images, labels = data
    velocities = [tf.Variable(tf.zeros_like(weight)) for weight in weights]

    def step(batch):
        with tf.GradientTape() as tape:
            logits = network(tf.gather(images, batch))
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
                tf.gather(labels, batch), logits
            )
            loss = tf.reduce_mean(losses)
        gradients = tape.gradient(loss, weights)
        for weight, velocity, gradient in zip(weights, velocities, gradients, strict=True):
            tf.raw_ops.ResourceApplyMomentum(
                var=weight.handle,
                accum=velocity.handle,
                lr=learning_rate,
                grad=gradient,
                momentum=_MOMENTUM,
            )
        return loss

    return step


def _kernel(*shape):
    deviation = np.sqrt(2 / np.prod(shape[:-1]))
    return tf.Variable(tf.random.stateless_normal(shape, seed=(0, len(shape)), stddev=deviation))


def _bias(units):
    return tf.Variable(tf.zeros(units))


def _dense(inputs, units):
    kernel, bias = _kernel(inputs, units), _bias(units)
    return lambda x: tf.nn.bias_add(x @ kernel, bias), [kernel, bias]


def _conv(inputs, filters):
    kernel, bias = _kernel(3, 3, inputs, filters), _bias(filters)
    return lambda x: tf.nn.bias_add(tf.nn.conv2d(x, kernel, 1, "SAME"), bias), [kernel, bias]


def _mlp():
    (first, w1), (second, w2), (third, w3) = _dense(784, 128), _dense(128, 64), _dense(64, 10)

    def network(x):
        x = tf.reshape(x, (-1, 784))
        return third(tf.nn.relu(second(tf.nn.relu(first(x)))))

    return network, [*w1, *w2, *w3]


def _cnn():
    (first, w1), (second, w2) = _conv(1, 32), _conv(32, 64)
    (third, w3), (fourth, w4) = _dense(7 * 7 * 64, 128), _dense(128, 10)

    def network(x):
        x = tf.nn.max_pool2d(tf.nn.relu(first(x)), 2, 2, "VALID")
        x = tf.nn.max_pool2d(tf.nn.relu(second(x)), 2, 2, "VALID")
        return fourth(tf.nn.relu(third(tf.reshape(x, (-1, 7 * 7 * 64)))))

    return network, [*w1, *w2, *w3, *w4]


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


_MODELS = {"mlp": _mlp, "cnn": _cnn}
_MODES = {"eager": _eager, "graph": _graph, "xla": _xla, "xla_step": _xla_step}
