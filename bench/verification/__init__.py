"""Proof that a backend does the work that the spec states: one certificate per contender and model.

A worker gives the backend and the NumPy reference in float64 the same weights and batches, and
compares all results. This needs NumPy, msgspec and the backend's framework only.
"""
