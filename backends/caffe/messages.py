"""Networks and solvers, which Caffe reads from text files."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Callable

import caffe
from caffe.proto import caffe_pb2

from bench.spec.training import Sgd

_MOST_STEPS = 2**31 - 1


def open_net(network: Any) -> Any:
    """Make a network for inference."""
    return _from_file(lambda path: caffe.Net(path, caffe.TEST), network)


def open_solver(network: Any, optimizer: Sgd, rate: float, seed: int, snapshots: Path) -> Any:
    """Make a solver of a network for training.

    Args:
        network: a network that ends in the loss.
        optimizer: the update rule.
        rate: the learning rate of every step.
        seed: the seed of dropout; below 0, the random stream is not reset.
        snapshots: the prefix of the paths of its snapshots.
    """
    message = caffe_pb2.SolverParameter(
        train_net_param=network,
        type="Nesterov" if optimizer.nesterov else "SGD",
        base_lr=rate,
        lr_policy="fixed",
        momentum=optimizer.momentum,
        weight_decay=optimizer.l2,
        regularization_type="L2",
        max_iter=_MOST_STEPS,
        snapshot_prefix=str(snapshots),
        snapshot_after_train=False,
        solver_mode=caffe_pb2.SolverParameter.CPU,
        random_seed=seed,
    )
    return _from_file(caffe.get_solver, message)


def _from_file(read: Callable[[str], Any], message: Any) -> Any:
    """Return Caffe's object for a message, through a file: Caffe reads nothing else."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "message.prototxt"
        path.write_text(str(message), encoding="ascii")
        return read(str(path))
