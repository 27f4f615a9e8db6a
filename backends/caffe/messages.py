"""Networks and solvers as Caffe takes them: text in a file."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Callable

import caffe
from caffe.proto import caffe_pb2

from bench.spec.training import Sgd

_MOST_STEPS = 2**31 - 1


def open_net(network: Any) -> Any:
    """A network for inference."""
    return _from_file(lambda path: caffe.Net(path, caffe.TEST), network)


def open_solver(network: Any, optimizer: Sgd, rate: float, seed: int, snapshots: Path) -> Any:
    """A solver of a network for training.

    Args:
        network: ends in the loss.
        optimizer: the rule of the update.
        rate: the learning rate of every step.
        seed: of dropout; below 0, the stream goes on where it is.
        snapshots: how the paths of its snapshots begin.
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
    """What Caffe makes of a message: it reads networks and solvers from files alone."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "message.prototxt"
        path.write_text(str(message), encoding="ascii")
        return read(str(path))
