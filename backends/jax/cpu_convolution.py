"""Convolution for XLA's CPU compiler, in a single step and inside a loop of steps.

In a single step the compiler passes a convolution and both of its gradients to a fast library. In
the body of a loop it does not do so for the gradients, which run element by element, up to a
hundred times slower. There a convolution is written as matrix products, which are always fast. A
depthwise convolution is always slow and is written as a sum of shifted maps.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from backends.jax.cpu_windows import windows

# With fewer channels the product for a single row of the kernel is too narrow to be fast.
_NARROW = 16


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
