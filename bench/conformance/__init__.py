"""The conformance suite: the same demands on every backend, in every mode, as pytest tests.

    python -m pytest --pyargs bench.conformance --evenbench mine

Needs pytest beside what a worker needs, and runs on the oldest Python that a worker runs on.
"""
