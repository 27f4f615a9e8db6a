"""One folder per framework, all with the same file names; `backends.api` is their contract.

Each folder's `__init__` contains a recipe and imports no framework; the other files do, and only
workers import them. `lowering` and `optimizers` here are shared by several frameworks.
"""
