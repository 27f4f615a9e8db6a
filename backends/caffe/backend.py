"""Caffe as a backend."""

from __future__ import annotations

from importlib.metadata import version

import caffe
import numpy as np

from backends.api import Backend, Workload
from backends.caffe import RECIPE
from backends.caffe.session import CaffeSession


class CaffeBackend(Backend):
    """Caffe on the CPU, with the threads of the BLAS library that it was built with.

    The distribution is built without GPU support.
    """

    recipe = RECIPE
    # Caffe's Adam adds epsilon before the bias correction, the spec's adds it afterwards.
    optimizers = ("sgd",)

    def __init__(self, threads: int) -> None:
        """Select the CPU; BLAS reads its number of threads from the environment."""
        caffe.set_mode_cpu()

    def versions(self) -> dict[str, str]:
        """Return the versions of the distribution, of Caffe in it, and of NumPy."""
        return {
            "kendryte-caffe": version("kendryte-caffe"),
            "caffe": str(caffe.__version__),
            "numpy": str(np.__version__),
        }

    def _session(self, workload: Workload) -> CaffeSession:
        return CaffeSession(workload)
