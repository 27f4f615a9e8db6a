"""A framework that was built for another version of NumPy."""

raise ImportError("numpy.core.multiarray failed to import: built for NumPy 1.x")
