"""One folder a framework, all with the same file names; `backends.api` is the contract they fill.

Each folder's `__init__` holds a recipe and imports no framework; `session` and `lowering` do, and
only a worker imports them.
"""
