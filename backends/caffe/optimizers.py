"""Caffe's solver, with a learning rate that can change between two steps."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from caffe.proto import caffe_pb2

from backends.caffe.messages import open_solver
from bench.spec.training import Sgd


class RatedSolver:
    """A network in training and its solver.

    Caffe's velocity contains the learning rate as a factor, the spec's does not: when the rate
    changes, the velocity must be rescaled. Caffe reads and writes velocities only as files, and a
    solver's rate is fixed. So a change costs a snapshot and a new solver; a constant rate costs
    nothing.
    """

    def __init__(self, network: Any, optimizer: Sgd, seed: int) -> None:
        """Start with velocities of 0 and the optimizer's learning rate."""
        self._folder = tempfile.TemporaryDirectory(prefix="caffe-")
        self._snapshots = Path(self._folder.name) / "snapshot"
        self._network = network
        self._optimizer = optimizer
        self._rate = np.float32(optimizer.learning_rate)
        self._solver = self._opened(self._rate, seed)

    @property
    def net(self) -> Any:
        """The network; a change of the rate replaces it by another one with the same weights."""
        return self._solver.net

    def step(self) -> None:
        """Train one step on the network's current input."""
        self._solver.step(1)

    def has_rate(self, rate: np.float32) -> bool:
        """Return whether the next step has that learning rate."""
        return bool(rate == self._rate)

    def set_rate(self, rate: np.float32) -> None:
        """Change the learning rate, and replace the solver and the network.

        Raises:
            ValueError: the rate was 0, which has erased the velocity.
        """
        if self._rate == 0 and self._optimizer.momentum:
            raise ValueError(
                f"the learning rate {rate:g} follows a rate of 0, which erases Caffe's velocity; "
                "use 0 only at the end of a training"
            )
        following = self._opened(rate, seed=-1)
        factor = rate / self._rate if self._rate else np.float32(0)
        following.restore(str(self._save_scaled(factor)))
        for path in self._snapshots.parent.iterdir():
            path.unlink()
        self._solver, self._rate = following, rate

    def _opened(self, rate: np.float32, seed: int) -> Any:
        return open_solver(self._network, self._optimizer, float(rate), seed, self._snapshots)

    def _save_scaled(self, factor: np.float32) -> Path:
        """Write weights and state with a rescaled velocity, and return the state's path."""
        self._solver.snapshot()
        path = Path(f"{self._snapshots}_iter_{self._solver.iter}.solverstate")
        state = caffe_pb2.SolverState.FromString(path.read_bytes())
        for velocity in state.history:
            velocity.data[:] = np.multiply(velocity.data, factor, dtype=np.float32)
        path.write_bytes(state.SerializeToString())
        return path
