"""PyTorch with a fault: the processes that share a training start from different weights."""

import torch
from torch import distributed

from backends.torch import parallel
from backends.torch.backend import TorchBackend


class UnequalRanks(TorchBackend):
    def __init__(self, threads):
        super().__init__(threads)
        parallel.SharedSession = _UnequalSession


class _UnequalSession(parallel.SharedSession):
    def __init__(self, workload):
        super().__init__(workload)
        if distributed.get_rank() == 1:
            with torch.no_grad():
                for weight in self._model.parameters():
                    weight.add_(0.3)
