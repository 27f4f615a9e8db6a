"""The process that measures one trial. It imports exactly one framework, and emits events.

It needs only NumPy, msgspec and the framework, because it may run in an environment that was
created for one framework, and on Python 3.9.
"""
