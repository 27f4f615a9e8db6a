"""The spec: layers, shapes, weights and training, defined without any framework.

It needs only NumPy and msgspec, because every worker imports it.
"""
