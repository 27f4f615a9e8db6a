"""The option that names the backends; pytest finds it through the entry point `pytest11`."""

from __future__ import annotations

from typing import Any

OPTION = "--evenbench"
MUST_HAVE = "evenbench_must_have"


def pytest_addoption(parser: Any) -> None:
    """Add the option."""
    parser.getgroup("evenbench").addoption(
        OPTION,
        default="",
        metavar="NAMES",
        help="backends for `--pyargs bench.verification.conformance`, separated by commas; all are "
        "imported into this process, so name together only those that share one well",
    )


def pytest_configure(config: Any) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", f"{MUST_HAVE}: a backend without it is none")
