"""Caffe's solver, at a learning rate that may change between two steps."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from caffe.proto import caffe_pb2

from backends.caffe.messages import open_solver
from bench.spec.training import Sgd


class RatedSolver:
    """A network in training, and what changes its weights.

    Caffe's velocity holds the learning rate, the spec's does not: where the rate changes, the
    velocity is to change with it. Caffe gives it out and takes it back as a file, and a solver
    keeps its rate: such a change costs a snapshot and a new solver. A constant rate costs nothing.
    """

    def __init__(self, network: Any, optimizer: Sgd, seed: int) -> None:
        """Start with velocities of 0, at the optimizer's own rate."""
        self._folder = tempfile.TemporaryDirectory(prefix="caffe-")
        self._snapshots = Path(self._folder.name) / "snapshot"
        self._network = network
        self._optimizer = optimizer
        self._rate = np.float32(optimizer.learning_rate)
        self._solver = self._opened(self._rate, seed)

    @property
    def net(self) -> Any:
        """The network; another one with the same weights once the rate has changed."""
        return self._solver.net

    def step(self) -> None:
        """One step on what lies in the network's input."""
        self._solver.step(1)

    def has_rate(self, rate: np.float32) -> bool:
        """Whether the next step has that learning rate."""
        return bool(rate == self._rate)

    def set_rate(self, rate: np.float32) -> None:
        """Take another learning rate, and with it another solver and network.

        Raises:
            ValueError: the rate was 0, so that the velocity is lost.
        """
        if self._rate == 0 and self._optimizer.momentum:
            raise ValueError(
                f"received the learning rate {rate:g} after one of 0, expected 0 to be the last, "
                "since Caffe's velocity holds the rate"
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
        """Write weights and state, the velocity multiplied by a factor; the state's path."""
        self._solver.snapshot()
        path = Path(f"{self._snapshots}_iter_{self._solver.iter}.solverstate")
        state = caffe_pb2.SolverState.FromString(path.read_bytes())
        for velocity in state.history:
            velocity.data[:] = np.multiply(velocity.data, factor, dtype=np.float32)
        path.write_bytes(state.SerializeToString())
        return path
