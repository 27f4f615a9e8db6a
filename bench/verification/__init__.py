"""Proof that a backend does the work that the spec states: a certificate for each contender.

A worker makes it: the backend and the NumPy reference in float64 are given the same weights and
batches, and all that comes out is compared. Needs NumPy, msgspec and the backend only.
"""
