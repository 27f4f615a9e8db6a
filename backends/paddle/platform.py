"""Paddle's settings, which it reads from environment variables while it is imported; versions."""

from __future__ import annotations

import os
import warnings
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

_THREADS = "FLAGS_paddle_num_threads"
_OUT_OF_MEMORY = ("ResourceExhaustedError", "ResourceExhausted", "Out of memory", "bad_alloc")


def configure(threads: int) -> None:
    """Write the settings, then import Paddle.

    `threads` are for the mathematics of one operation.
    """
    os.environ.update({_THREADS: str(threads)})
    # A chain of layers has no operation to run beside another: the executor's own threads only
    # hand each one over, which takes the smallest models a quarter of their time.
    os.environ.setdefault("FLAGS_new_executor_serial_run", "1")
    if _is_amd():
        # The Intel library in Paddle's package is of 2019 and takes its slowest path on others'
        # processors unless it is told which (5: AVX2): a product of matrices takes a third then.
        os.environ.setdefault("MKL_DEBUG_CPU_TYPE", "5")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="No ccache found")  # it compiles nothing here
        paddle = import_module("paddle")
    paddle.set_device("cpu")


def _is_amd() -> bool:
    try:
        return "AuthenticAMD" in Path("/proc/cpuinfo").read_text()
    except OSError:  # there is none: not Linux
        return False


def versions() -> dict[str, str]:
    """Versions of Paddle and of NumPy."""
    return {name: version(name) for name in ("paddlepaddle", "numpy")}


def is_out_of_memory(error: Exception) -> bool:
    """Whether the error is Paddle's word for memory that ran out."""
    return any(text in str(error) for text in _OUT_OF_MEMORY)
