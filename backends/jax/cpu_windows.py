"""Convolution and pooling for XLA's CPU compiler, in a single step and inside a loop of steps.

In a single step the compiler passes a convolution and both of its gradients to a fast library. In
the body of a loop it does not do so for the gradients, which run element by element, up to a
hundred times slower. There a convolution is written as matrix products, which are always fast. A
depthwise convolution is always slow and is written as a sum of shifted maps. So is pooling: the
compiler's own reduction over windows is 20 times slower. It fuses shifted, strided slices.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

# With fewer channels the product for a single row of the kernel is too narrow to be fast.
_NARROW = 16
_NO_PADDING = (0, 0, 0)


def windows(images: Any, size: int, stride: int) -> list[Any]:
    """Return size**2 maps (n, h', w', c): map i * size + j has position (i, j) of every window."""
    height, width = ((extent - size) // stride * stride + 1 for extent in images.shape[1:3])
    return [
        images[:, row : row + height : stride, column : column + width : stride]
        for row in range(size)
        for column in range(size)
    ]


class _Geometry(NamedTuple):
    """The geometry of a convolution along one axis; the padding is added on each side."""

    extent: int
    kernel: int
    stride: int
    padding: int

    @property
    def image_gradient_padding(self) -> tuple[int, int]:
        """Return the padding that turns the output's gradient into the input's."""
        outputs = (self.extent + 2 * self.padding - self.kernel) // self.stride + 1
        reach = (outputs - 1) * self.stride + 1  # with stride - 1 gaps between the positions
        before = self.kernel - 1 - self.padding
        return before, self.extent + self.kernel - 1 - reach - before


def convolve_in_step(images: Any, kernel: Any, stride: int, padding: int, groups: int) -> Any:
    """Cross-correlate (n, h, w, c) with (k, k, c / groups, filters): (n, h', w', filters)."""
    if groups > 1 or kernel.shape[0] == 1:
        return convolve_in_loop(images, kernel, stride, padding, groups)
    return lax.conv_general_dilated(
        images,
        kernel,
        (stride, stride),
        ((padding, padding), (padding, padding)),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


def convolve_in_loop(images: Any, kernel: Any, stride: int, padding: int, groups: int) -> Any:
    """Do the same in the body of a loop."""
    if groups == 1:
        return _convolve_by_products(images, kernel, stride, padding)
    if kernel.shape[2:] == (1, groups):
        return _convolve_depthwise(images, kernel, stride, padding)
    return _convolve_groups(images, kernel, stride, padding, groups)


def _convolve_by_products(images: Any, kernel: Any, stride: int, padding: int) -> Any:
    """Use one product per row of the kernel, with the columns of the windows side by side."""
    size, _, channels, filters = kernel.shape
    if size == 1:
        return _product(images[:, ::stride, ::stride], kernel[0, 0]).astype(images.dtype)
    sides = (padding, padding, 0)
    shifted = windows(_padded(images, [sides, sides]), size, stride)
    each = size if channels >= _NARROW else size**2
    parts = [
        _product(
            jnp.concatenate(shifted[first : first + each], axis=-1),
            kernel.reshape(-1, filters)[first * channels : (first + each) * channels],
        )
        for first in range(0, size**2, each)
    ]
    return sum(parts[1:], parts[0]).astype(images.dtype)


def _product(maps: Any, matrix: Any) -> Any:
    """Multiply (n, h, w, c) by (c, filters), with sums of 16-bit types in float32."""
    exact = jnp.promote_types(maps.dtype, jnp.float32)
    flat = maps.reshape(-1, maps.shape[-1])
    product = lax.dot(flat, matrix, preferred_element_type=exact)
    return product.reshape(*maps.shape[:3], -1)


def _convolve_depthwise(images: Any, kernel: Any, stride: int, padding: int) -> Any:
    """Add shifted maps, each multiplied by its row of the kernel, in one pass over memory."""
    sides = (padding, padding, 0)
    axes = [_Geometry(extent, kernel.shape[0], stride, padding) for extent in images.shape[1:3]]

    def forward(images: Any, kernel: Any) -> Any:
        return _weighted_windows(_padded(images, [sides, sides]), kernel, stride)

    def backward(operands: tuple[Any, Any], gradient: Any) -> tuple[Any, Any]:
        images, kernel = operands
        spread = [(*axis.image_gradient_padding, stride - 1) for axis in axes]
        images_gradient = _weighted_windows(_padded(gradient, spread), kernel[::-1, ::-1], 1)
        shifted = windows(_padded(images, [sides, sides]), kernel.shape[0], stride)
        return images_gradient, _sums_of_products(shifted, gradient).reshape(kernel.shape)

    convolution = jax.custom_vjp(forward)
    convolution.defvjp(lambda *operands: (forward(*operands), operands), backward)
    return convolution(images, kernel)


def _weighted_windows(images: Any, kernel: Any, stride: int) -> Any:
    shifted = windows(images, kernel.shape[0], stride)
    return sum(part * row for part, row in zip(shifted, kernel.reshape(-1, kernel.shape[-1])))


def _sums_of_products(shifted: list[Any], gradient: Any) -> Any:
    """Return each map's product with the gradient, summed by channel: (len(shifted), c)."""
    # A 16-bit type is too short for sums of so many products.
    exact = jnp.promote_types(gradient.dtype, jnp.float32)
    products = tuple(part.astype(exact) * gradient.astype(exact) for part in shifted)
    zeros = (jnp.zeros((), exact),) * len(products)

    def add(left: tuple[Any, ...], right: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(one + other for one, other in zip(left, right))

    return jnp.stack(lax.reduce(products, zeros, add, (0, 1, 2))).astype(gradient.dtype)


def _padded(images: Any, sides: list[tuple[int, int, int]]) -> Any:
    """Insert zeros before, after and between the rows and columns."""
    return lax.pad(images, jnp.zeros((), images.dtype), ((0, 0, 0), *sides, (0, 0, 0)))


def _convolve_groups(images: Any, kernel: Any, stride: int, padding: int, groups: int) -> Any:
    """Convolve group by group, in a loop: compile time does not grow with the groups."""

    def part(group: tuple[Any, Any]) -> Any:
        return _convolve_by_products(*group, stride, padding)

    def groups_first(values: Any) -> Any:
        return jnp.moveaxis(values.reshape(*values.shape[:3], groups, -1), 3, 0)

    output = jnp.moveaxis(lax.map(part, (groups_first(images), groups_first(kernel))), 0, 3)
    return output.reshape(*output.shape[:3], -1)


def max_pool_in_step(images: Any, size: int, stride: int, padding: int) -> Any:
    """Return the maximum of each window, in a single step.

    Windows that do not overlap are the maximum of a reshape, whose gradient is split among equal
    values. Values are equal where their inputs are equal (a constant background) or where no
    gradient passes (zeros of ReLU), so the gradients of the weights do not change.
    """
    if padding or stride != size:
        return max_pool_in_loop(images, size, stride, padding)
    batch, height, width, channels = images.shape
    rows, columns = height // size, width // size
    whole = images[:, : rows * size, : columns * size]
    return whole.reshape(batch, rows, size, columns, size, channels).max((2, 4))


def max_pool_in_loop(images: Any, size: int, stride: int, padding: int) -> Any:
    """Do the same inside a loop of steps; the gradient goes to the first of equal values."""
    sides = (padding, padding, 0)
    lowest = jnp.array(-jnp.inf, images.dtype)
    images = lax.pad(images, lowest, (_NO_PADDING, sides, sides, _NO_PADDING))

    def backward(winners: Any, gradient: Any) -> tuple[Any]:
        if stride == size:
            return (_return_apart(gradient, winners, images.shape, size),)
        return (_return(gradient, winners, images.shape, size, stride),)

    pool = jax.custom_vjp(lambda images: _compete(images, size, stride)[0])
    pool.defvjp(lambda images: _compete(images, size, stride), backward)
    return pool(images)


def average_pool(images: Any, size: int, stride: int) -> Any:
    """Return the mean of each window."""
    return sum(windows(images, size, stride)) / size**2


def _compete(images: Any, size: int, stride: int) -> tuple[Any, Any]:
    """Return the maximum of each window, and its position in the window."""
    first, *others = windows(images, size, stride)
    position = np.min_scalar_type(size**2)
    largest, winners = first, jnp.zeros(first.shape, position)
    for index, other in enumerate(others, start=1):
        is_larger = other > largest
        largest = jnp.where(is_larger, other, largest)
        winners = jnp.where(is_larger, position.type(index), winners)
    return largest, winners


def _return_apart(gradient: Any, winners: Any, shape: tuple[int, ...], size: int) -> Any:
    """Return the gradient of a map of `shape` whose windows do not overlap."""
    position = np.arange(size**2).reshape(size, 1, size, 1).astype(winners.dtype)
    wide = (slice(None), slice(None), None, slice(None), None)
    shares = jnp.where(winners[wide] == position, gradient[wide], 0)
    batch, height, width, channels = gradient.shape
    maps = shares.reshape(batch, height * size, width * size, channels)
    rest = [(0, extent - size * outputs, 0) for extent, outputs in zip(shape[1:3], (height, width))]
    return lax.pad(maps, jnp.zeros((), maps.dtype), (_NO_PADDING, *rest, _NO_PADDING))


def _return(gradient: Any, winners: Any, shape: tuple[int, ...], size: int, stride: int) -> Any:
    """Return the gradient of a map of `shape`: each value collects those of windows it won.

    A value is at position n of one window, and at position size**2 - 1 - n of that window's place
    among the windows over the spread-out gradient. Collecting by slices is several times faster
    than adding size**2 padded maps.
    """
    holders = windows(_spread(winners, shape, size, stride), size, 1)
    shares = windows(_spread(gradient, shape, size, stride), size, 1)
    pairs = zip(reversed(holders), reversed(shares))
    return sum(jnp.where(holder == index, share, 0) for index, (holder, share) in enumerate(pairs))


def _spread(values: Any, shape: tuple[int, ...], size: int, stride: int) -> Any:
    """Insert stride - 1 zeros between values (n, h', w', c), and enough around for all windows."""
    sides = [
        (size - 1, extent - (outputs - 1) * stride - 1, stride - 1)
        for extent, outputs in zip(shape[1:3], values.shape[1:3])
    ]
    return lax.pad(values, jnp.zeros((), values.dtype), (_NO_PADDING, *sides, _NO_PADDING))
