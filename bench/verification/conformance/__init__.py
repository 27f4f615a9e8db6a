"""The conformance suite: the same demands on every backend, in every mode, as pytest tests.

    python -m pytest --pyargs bench.verification.conformance --evenbench mine

Needs pytest beside what a worker needs, and Python 3.10; on 3.9 `bench verify` does the checking.
"""
