"""The reference for the JAX backend: three networks trained in plain JAX, without the suite.

Whatever the backend does, it must not be slower than this. JAX's own convolution crawls inside a
scan on the CPU, so there it is a matrix product of shifted slices.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

_MOMENTUM = 0.9


def prepare(model, mode, images, labels, learning_rate):
    """Build a model and its training loop, on the default device.

    Args:
        model: mlp, cnn or resnet_small.
        mode: jit or scan.
        images: (examples, 28, 28, 1) float32.
        labels: (examples,) int32 classes.
        learning_rate: of SGD with momentum 0.9.

    Returns:
        A function of batches (steps, batch) of indices, which trains one step on each and returns
        the losses, (steps,), on the host. Its first call compiles.
    """
    initial, apply = _MODELS[model]
    make_loop, convolve = _MODES[mode]
    images, labels = jnp.array(images), jnp.array(labels)
    run = make_loop(_make_step(partial(apply, convolve), learning_rate))
    params, statistics = initial(np.random.default_rng(0))
    state = params, statistics, jax.tree.map(jnp.zeros_like, params)

    def loop(batches):
        nonlocal state
        state, losses = jax.block_until_ready(run(state, batches, images, labels))
        return np.array(jax.device_get(losses))

    return loop


def _kernel(random, *shape):
    deviation = np.sqrt(2 / np.prod(shape[:-1]))
    return jnp.array(random.normal(0, deviation, shape), jnp.float32)


def _biased(random, *shape):
    return _kernel(random, *shape), jnp.zeros(shape[-1])


def _mlp_start(random):
    return [_biased(random, *shape) for shape in ((784, 128), (128, 64), (64, 10))], ()


def _cnn_start(random):
    shapes = ((3, 3, 1, 32), (3, 3, 32, 64), (3136, 128), (128, 10))
    return [_biased(random, *shape) for shape in shapes], ()


def _resnet_start(random):
    shapes = {
        "stem": (3, 3, 1, 16),
        "1a": (3, 3, 16, 16),
        "1b": (3, 3, 16, 16),
        "2a": (3, 3, 16, 32),
        "2b": (3, 3, 32, 32),
        "2s": (1, 1, 16, 32),
        "3a": (3, 3, 32, 32),
        "3b": (3, 3, 32, 32),
    }
    params = {
        name: (_kernel(random, *shape), jnp.ones(shape[-1]), jnp.zeros(shape[-1]))
        for name, shape in shapes.items()
    }
    statistics = {
        name: (jnp.zeros(shape[-1]), jnp.ones(shape[-1])) for name, shape in shapes.items()
    }
    return {**params, "last": _biased(random, 32, 10)}, statistics


def _dense_layers(params, x):
    x = x.reshape(x.shape[0], -1)
    for kernel, bias in params[:-1]:
        x = jax.nn.relu(x @ kernel + bias)
    kernel, bias = params[-1]
    return x @ kernel + bias


def _mlp(_, params, statistics, x):
    return _dense_layers(params, x), statistics


def _cnn(convolve, params, statistics, x):
    for kernel, bias in params[:2]:
        x = _halve(jax.nn.relu(convolve(x, kernel, 1) + bias))
    return _dense_layers(params[2:], x), statistics


def _resnet_small(convolve, params, statistics, x):
    new = {}

    def conv_norm(name, x, stride=1):
        kernel, scale, shift = params[name]
        x = convolve(x, kernel, stride)
        mean, variance = jnp.mean(x, (0, 1, 2)), jnp.var(x, (0, 1, 2))
        unbiased = variance * (x[..., 0].size / (x[..., 0].size - 1))
        new[name] = tuple(
            0.9 * old + 0.1 * batch
            for old, batch in zip(statistics[name], (mean, unbiased), strict=True)
        )
        return (x - mean) * (scale * lax.rsqrt(variance + 1e-5)) + shift

    def block(number, x, stride=1):
        y = jax.nn.relu(conv_norm(f"{number}a", x, stride))
        y = conv_norm(f"{number}b", y)
        return jax.nn.relu(y + (conv_norm(f"{number}s", x, stride) if stride > 1 else x))

    x = _halve(jax.nn.relu(conv_norm("stem", x)))
    x = block(3, block(2, block(1, x), 2))
    kernel, bias = params["last"]
    return jnp.mean(x, (1, 2)) @ kernel + bias, new


def _convolve(x, kernel, stride):
    sides = [(kernel.shape[0] // 2,) * 2] * 2
    layout = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(x, kernel, (stride,) * 2, sides, dimension_numbers=layout)


def _convolve_by_slices(x, kernel, stride):
    n, h, w, _ = x.shape
    size, side = kernel.shape[0], kernel.shape[0] // 2
    padded = jnp.pad(x, ((0, 0), (side, side), (side, side), (0, 0)))
    patches = jnp.concatenate(
        [
            padded[:, i : i + h : stride, j : j + w : stride]
            for i in range(size)
            for j in range(size)
        ],
        axis=-1,
    )
    flat = patches.reshape(-1, patches.shape[-1]) @ kernel.reshape(-1, kernel.shape[-1])
    return flat.reshape(n, h // stride, w // stride, -1)


def _halve(x):
    n, h, w, c = x.shape
    return x.reshape(n, h // 2, 2, w // 2, 2, c).max((2, 4))


def _make_step(apply, learning_rate):
    def loss_of(params, statistics, x, y):
        logits, statistics = apply(params, statistics, x)
        log_probabilities = jax.nn.log_softmax(logits)
        return -jnp.take_along_axis(log_probabilities, y[:, None], axis=1).mean(), statistics

    def step(state, batch, images, labels):
        params, statistics, velocity = state
        (loss, statistics), gradients = jax.value_and_grad(loss_of, has_aux=True)(
            params, statistics, images[batch], labels[batch]
        )
        velocity = jax.tree.map(lambda v, g: _MOMENTUM * v + g, velocity, gradients)
        params = jax.tree.map(lambda p, v: p - learning_rate * v, params, velocity)
        return (params, statistics, velocity), loss

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
    "mlp": (_mlp_start, _mlp),
    "cnn": (_cnn_start, _cnn),
    "resnet_small": (_resnet_start, _resnet_small),
}
_MODES = {"jit": (_jit, _convolve), "scan": (_scan, _convolve_by_slices)}
