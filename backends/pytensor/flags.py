"""PyTensor's settings, which it reads from one environment variable while it is imported."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def configure(threads: int) -> None:
    """Write the settings; call it before PyTensor is imported.

    Code is compiled in the process's folder for temporary files, and so compiled anew in each
    trial, unless the variable already names another. The number of threads is the environment's.
    """
    settings = {
        "floatX": "float32",
        "blas__ldflags": "-lopenblas",
        "openmp": str(threads > 1),
        "base_compiledir": str(Path(tempfile.gettempdir()) / "pytensor"),
    }
    own = ",".join(f"{name}={value}" for name, value in settings.items())
    # Of a setting that is named twice, PyTensor takes the last.
    given = os.environ.get("PYTENSOR_FLAGS", "")
    os.environ["PYTENSOR_FLAGS"] = f"{own},{given}" if given else own
