"""Built for another NumPy, as the C API of such a wheel says it."""

raise ImportError("numpy.core.multiarray failed to import: built for NumPy 1.x")
