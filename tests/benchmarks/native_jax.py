"""The reference for the JAX backend: three networks trained in plain JAX, without the suite.

Whatever the backend does, it must not be slower than the fastest of these loops. On the CPU, JAX's
own convolution crawls inside a scan, and in a single step it depends on the processor whether a
matrix product of shifted slices is faster.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

_MOMENTUM = 0.9


def prepare(model, form, images, labels, weights, learning_rate):
    """Build a model and its training loop, on the default device.

    Args:
        model: mlp, cnn or resnet_small.
        form: a value of `forms`.
        images: (examples, 28, 28, 1) float32.
        labels: (examples,) int32 classes.
        weights: initial values of the trainable weights, in the spec's order and layouts.
        learning_rate: of SGD with momentum 0.9.

    Returns:
        A function of batches (steps, batch) of indices, which trains one step on each and returns
        the losses, (steps,), on the host. Its first call compiles.
    """
    initial, apply = _MODELS[model]
    make_loop, convolve, pool = form
    params, statistics = initial([jnp.array(value) for value in weights])
    run = make_loop(partial(apply, convolve, pool), learning_rate, images, labels)
    state = params, statistics, jax.tree.map(jnp.zeros_like, params)

    def loop(batches):
        nonlocal state
        state, losses = jax.block_until_ready(run(state, batches))
        return np.array(jax.device_get(losses))

    return loop


def _in_pairs(weights):
    return list(zip(weights[::2], weights[1::2], strict=True)), ()


def _resnet_start(weights):
    names = ("stem", "1a", "1b", "2s", "2a", "2b", "3a", "3b")
    *layers, kernel, bias = weights
    params = {name: tuple(layers[3 * i : 3 * i + 3]) for i, name in enumerate(names)}
    statistics = {
        name: (jnp.zeros_like(shift), jnp.ones_like(shift))
        for name, (_, _, shift) in params.items()
    }
    return {**params, "last": (kernel, bias)}, statistics


def _dense_layers(params, x):
    x = x.reshape(x.shape[0], -1)
    for kernel, bias in params[:-1]:
        x = jax.nn.relu(x @ kernel + bias)
    kernel, bias = params[-1]
    return x @ kernel + bias


def _mlp(convolve, pool, params, statistics, x):
    return _dense_layers(params, x), statistics


def _cnn(convolve, pool, params, statistics, x):
    for kernel, bias in params[:2]:
        x = pool(jax.nn.relu(convolve(x, kernel, 1) + bias))
    return _dense_layers(params[2:], x), statistics


def _resnet_small(convolve, pool, params, statistics, x):
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

    x = pool(jax.nn.relu(conv_norm("stem", x)))
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


def _reduce_window(x):
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


def _make_step(apply, learning_rate):
    def loss_of(params, statistics, x, y):
        logits, statistics = apply(params, statistics, x)
        log_probabilities = jax.nn.log_softmax(logits)
        return -jnp.take_along_axis(log_probabilities, y[:, None], axis=1).mean(), statistics

    def step(state, x, y):
        params, statistics, velocity = state
        (loss, statistics), gradients = jax.value_and_grad(loss_of, has_aux=True)(
            params, statistics, x, y
        )
        velocity = jax.tree.map(lambda v, g: _MOMENTUM * v + g, velocity, gradients)
        params = jax.tree.map(lambda p, v: p - learning_rate * v, params, velocity)
        return (params, statistics, velocity), loss

    return step


def _documented(apply, learning_rate, images, labels):
    """Follow "Training a simple neural network" in JAX's documentation: batches from the host."""
    step = jax.jit(_make_step(apply, learning_rate))

    def run(state, batches):
        losses = []
        for batch in batches:
            state, loss = step(state, images[batch], labels[batch])
            losses.append(loss)
        return state, losses

    return run


def _gathering(apply, learning_rate):
    """Return a step that gathers its batch on the device."""
    step = _make_step(apply, learning_rate)
    return lambda state, batch, images, labels: step(state, images[batch], labels[batch])


def _jit(apply, learning_rate, images, labels):
    step = jax.jit(_gathering(apply, learning_rate), donate_argnums=0)
    images, labels = jnp.array(images), jnp.array(labels)

    def run(state, batches):
        losses = []
        for batch in batches:
            state, loss = step(state, batch, images, labels)
            losses.append(loss)
        return state, losses

    return run


def _scan(apply, learning_rate, images, labels):
    step = _gathering(apply, learning_rate)
    data = jnp.array(images), jnp.array(labels)

    def steps(state, batches, *data):
        return lax.scan(lambda state, batch: step(state, batch, *data), state, batches)

    compiled = jax.jit(steps, donate_argnums=0)
    return lambda state, batches: compiled(state, batches, *data)


_MODELS = {
    "mlp": (_in_pairs, _mlp),
    "cnn": (_in_pairs, _cnn),
    "resnet_small": (_resnet_start, _resnet_small),
}


def forms(model, mode):
    """Return by name the form of the documentation and the fastest forms that are known."""
    found = {"documented": (_documented, _convolve, _reduce_window)}
    if mode == "scan":
        return {**found, "scan": (_scan, _convolve_by_slices, _halve)}
    found["donated"] = (_jit, _convolve, _halve)
    if model != "mlp":
        found["slices"] = (_jit, _convolve_by_slices, _halve)
    return found
