"""Convolution for XLA's CPU compiler, fast in a step of its own and inside a loop of steps.

The compiler hands a convolution to a fast library only in one arrangement: batch first, channels
last, kernel (h, w, in, out), one group. Elsewhere in a program it rearranges others, but not in
the body of a loop, where they run element by element, up to a hundred times slower. JAX's own
gradients of a convolution are such others. So each convolution and both of its gradients are
written in that one arrangement here.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from backends.jax.cpu_windows import windows


class _Geometry(NamedTuple):
    """What a convolution along one axis is: extents, stride, and padding on each side."""

    extent: int
    kernel: int
    stride: int
    padding: int

    @property
    def _reach(self) -> int:
        """The extent of the output with stride - 1 gaps between its positions."""
        outputs = (self.extent + 2 * self.padding - self.kernel) // self.stride + 1
        return (outputs - 1) * self.stride + 1

    @property
    def image_gradient_padding(self) -> tuple[int, int]:
        """What the gradient of the output needs at both ends to become one of the input."""
        before = self.kernel - 1 - self.padding
        return before, self.extent + self.kernel - 1 - self._reach - before

    @property
    def kernel_gradient_padding(self) -> tuple[int, int]:
        """What the input needs to become the kernel's gradient; negative where rows are unused."""
        return self.padding, self.kernel - 1 + self._reach - self.extent - self.padding


def convolve(images: Any, kernel: Any, stride: int, padding: int, groups: int) -> Any:
    """Cross-correlate (n, h, w, c) with (k, k, c / groups, filters): (n, h', w', filters)."""
    if groups == 1:
        return _convolve_one_group(images, kernel, stride, padding)
    if kernel.shape[2:] == (1, groups):
        return _convolve_depthwise(images, kernel, stride, padding)
    return _convolve_groups(images, kernel, stride, padding, groups)


def _convolve_depthwise(images: Any, kernel: Any, stride: int, padding: int) -> Any:
    """A sum of shifted maps, each times its row of the kernel, in one pass over memory."""
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
    """The sum of each map times the gradient, by channel, all in one pass: (len(shifted), c)."""
    # Sums of so many products keep nothing of a short type.
    exact = jnp.promote_types(gradient.dtype, jnp.float32)
    products = tuple(part.astype(exact) * gradient.astype(exact) for part in shifted)
    zeros = (jnp.zeros((), exact),) * len(products)

    def add(left: tuple[Any, ...], right: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(one + other for one, other in zip(left, right))

    return jnp.stack(lax.reduce(products, zeros, add, (0, 1, 2))).astype(gradient.dtype)


def _padded(images: Any, sides: list[tuple[int, int, int]]) -> Any:
    """Zeros before, after and between the rows and the columns."""
    return lax.pad(images, jnp.zeros((), images.dtype), ((0, 0, 0), *sides, (0, 0, 0)))


def _convolve_groups(images: Any, kernel: Any, stride: int, padding: int, groups: int) -> Any:
    """One group after the other, in a loop so that compile time does not grow with groups."""

    def part(group: tuple[Any, Any]) -> Any:
        return _convolve_one_group(*group, stride, padding)

    def groups_first(values: Any) -> Any:
        return jnp.moveaxis(values.reshape(*values.shape[:3], groups, -1), 3, 0)

    output = jnp.moveaxis(lax.map(part, (groups_first(images), groups_first(kernel))), 0, 3)
    return output.reshape(*output.shape[:3], -1)


def _convolve_one_group(images: Any, kernel: Any, stride: int, padding: int) -> Any:
    if kernel.shape[0] == 1:
        return _convolve_pointwise(images, kernel, stride)
    sides = ((padding, padding), (padding, padding))
    axes = [_Geometry(extent, kernel.shape[0], stride, padding) for extent in images.shape[1:3]]

    def forward(images: Any, kernel: Any) -> Any:
        return _correlate(images, kernel, sides, stride=stride)

    def backward(operands: tuple[Any, Any], gradient: Any) -> tuple[Any, Any]:
        return _image_gradient(operands[1], gradient, axes), _kernel_gradient(
            operands[0], gradient, axes
        )

    convolution = jax.custom_vjp(forward)
    convolution.defvjp(lambda *operands: (forward(*operands), operands), backward)
    return convolution(images, kernel)


def _convolve_pointwise(images: Any, kernel: Any, stride: int) -> Any:
    """A 1 x 1 kernel is a product of two matrices, twice as fast when it is written as one."""
    images = images[:, ::stride, ::stride]
    rows = images.reshape(-1, images.shape[-1]) @ kernel[0, 0]
    return rows.reshape(*images.shape[:3], -1)


def _image_gradient(kernel: Any, gradient: Any, axes: list[_Geometry]) -> Any:
    """The output's gradient, spread by the stride, correlated with the kernel turned round."""
    turned = kernel[::-1, ::-1].swapaxes(2, 3)
    sides = [axis.image_gradient_padding for axis in axes]
    return _correlate(gradient, turned, sides, image_gaps=axes[0].stride)


def _kernel_gradient(images: Any, gradient: Any, axes: list[_Geometry]) -> Any:
    """The input correlated with the output's gradient, the batch in the place of the channels."""
    sides = [axis.kernel_gradient_padding for axis in axes]
    rows, columns = images.transpose(3, 1, 2, 0), gradient.transpose(1, 2, 0, 3)
    correlated = _correlate(rows, columns, sides, kernel_gaps=axes[0].stride)
    return correlated.transpose(1, 2, 0, 3)


def _correlate(
    images: Any, kernel: Any, sides: Any, stride: int = 1, image_gaps: int = 1, kernel_gaps: int = 1
) -> Any:
    return lax.conv_general_dilated(
        images,
        kernel,
        (stride, stride),
        sides,
        lhs_dilation=(image_gaps, image_gaps),
        rhs_dilation=(kernel_gaps, kernel_gaps),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
