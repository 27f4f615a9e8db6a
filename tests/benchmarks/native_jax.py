"""The opponent of the JAX backend: two networks trained in plain JAX, without the suite.

Whatever the backend does, it must not be slower than this. JAX's own convolution crawls inside a
scan on the CPU, so there it is a matrix product of shifted slices.
"""

from functools import partial
from time import perf_counter

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

_MOMENTUM = 0.9


def train(
    model: str,
    mode: str,
    images: np.ndarray,
    labels: np.ndarray,
    batches: np.ndarray,
    learning_rate: float,
) -> float:
    """Build the model, compile, and train one step on each batch, on the default device.

    Args:
        model: mlp or cnn.
        mode: jit or scan.
        images: (examples, 28, 28, 1) float32.
        labels: (examples,) int32 classes.
        batches: (steps, batch) int32 indices.
        learning_rate: of SGD with momentum 0.9.

    Returns:
        The seconds that all steps took.
    """
    shapes, apply = _MODELS[model]
    loop, convolve = _MODES[mode]
    images, labels = jnp.array(images), jnp.array(labels)
    run = loop(_make_step(partial(apply, convolve), learning_rate))
    jax.block_until_ready(run(_initial(shapes), batches, images, labels))
    state = jax.block_until_ready(_initial(shapes))
    start = perf_counter()
    state, losses = run(state, batches, images, labels)
    losses = np.array(jax.device_get(jax.block_until_ready((state, losses))[1]))
    seconds = perf_counter() - start
    assert np.isfinite(losses).all()
    return seconds


def _initial(shapes):
    keys = jax.random.split(jax.random.key(0), len(shapes))
    scales = [(2 / np.prod(shape[:-1])) ** 0.5 for shape in shapes]
    params = [
        (scale * jax.random.normal(key, shape), jnp.zeros(shape[-1]))
        for key, shape, scale in zip(keys, shapes, scales, strict=True)
    ]
    return params, jax.tree.map(jnp.zeros_like, params)


def _mlp(_, params, x):
    x = x.reshape(x.shape[0], -1)
    for kernel, bias in params[:-1]:
        x = jax.nn.relu(x @ kernel + bias)
    kernel, bias = params[-1]
    return x @ kernel + bias


def _cnn(convolve, params, x):
    for kernel, bias in params[:2]:
        x = _halve(jax.nn.relu(convolve(x, kernel) + bias))
    return _mlp(convolve, params[2:], x)


def _convolve(x, kernel):
    layout = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=layout)


def _convolve_by_slices(x, kernel):
    n, h, w, _ = x.shape
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    patches = jnp.concatenate(
        [padded[:, i : i + h, j : j + w] for i in range(3) for j in range(3)], axis=-1
    )
    flat = patches.reshape(n * h * w, -1) @ kernel.reshape(-1, kernel.shape[-1])
    return flat.reshape(n, h, w, -1)


def _halve(x):
    n, h, w, c = x.shape
    return x.reshape(n, h // 2, 2, w // 2, 2, c).max((2, 4))


def _make_step(apply, learning_rate):
    def loss(params, x, y):
        log_probabilities = jax.nn.log_softmax(apply(params, x))
        return -jnp.take_along_axis(log_probabilities, y[:, None], axis=1).mean()

    def step(state, batch, images, labels):
        params, velocity = state
        value, gradients = jax.value_and_grad(loss)(params, images[batch], labels[batch])
        velocity = jax.tree.map(lambda v, g: _MOMENTUM * v + g, velocity, gradients)
        params = jax.tree.map(lambda p, v: p - learning_rate * v, params, velocity)
        return (params, velocity), value

    return step


def _jit(step):
    step = jax.jit(step, donate_argnums=0)

    def run(state, batches, images, labels):
        losses = []
        for batch in batches:
            state, loss = step(state, batch, images, labels)
            losses.append(loss)
        return state, losses

    return run


def _scan(step):
    def run(state, batches, images, labels):
        return lax.scan(lambda state, batch: step(state, batch, images, labels), state, batches)

    return jax.jit(run, donate_argnums=0)


_MODELS = {
    "mlp": ([(784, 128), (128, 64), (64, 10)], _mlp),
    "cnn": ([(3, 3, 1, 32), (3, 3, 32, 64), (3136, 128), (128, 10)], _cnn),
}
_MODES = {"jit": (_jit, _convolve), "scan": (_scan, _convolve_by_slices)}
