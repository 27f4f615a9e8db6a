"""The conformance suite: pytest tests that every backend must pass, in each of its modes.

    python -m pytest --pyargs bench.verification.conformance --evenbench mine

It needs pytest in addition to the requirements of a worker, and Python 3.10. For a framework that
needs Python 3.9, use `bench verify`.
"""
