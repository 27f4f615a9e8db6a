"""Theano's settings, which it reads from one environment variable while it is imported."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def configure(threads: int) -> None:
    """Write the settings; call it before Theano is imported.

    Code is compiled in the process's folder for temporary files, and so compiled anew in each
    trial, unless the variable already names another. The number of threads is the environment's,
    for OpenBLAS and for OpenMP; Theano's own loops use it where they are told to.
    """
    folder = Path(tempfile.gettempdir()) / "theano"
    settings = {
        "device": "cpu",
        "floatX": "float32",
        "blas.ldflags": "-lopenblas",
        "openmp": str(threads > 1),
        # Results that lie between two operations keep their memory from step to step.
        "allow_gc": "False",
        "base_compiledir": str(folder),
    }
    own = ",".join(f"{name}={value}" for name, value in settings.items())
    # Of a setting that is named twice, Theano takes the last.
    given = os.environ.get("THEANO_FLAGS", "")
    os.environ["THEANO_FLAGS"] = f"{own},{given}" if given else own
