"""The spec: layers, shapes, weights and training, stated without any framework.

Needs NumPy and msgspec only, since every worker imports it.
"""
