"""One model in Caffe: a network, its solver, and the training set in memory."""

from __future__ import annotations

from typing import Any, cast

import caffe
import numpy as np

from backends.api import Gradients, Session, Workload
from backends.caffe.lowering import lower
from backends.caffe.messages import open_net
from backends.caffe.optimizers import RatedSolver
from backends.lowering import maps_first
from bench.spec.training import Sgd
from bench.spec.weights import FloatArray, IntArray, Weights


class CaffeSession(Session):
    """A solver's network, and a network for each batch size of predictions."""

    def __init__(self, workload: Workload) -> None:
        self._lowered = lower(workload.model)
        self._seed = workload.seed
        self._images = maps_first(workload.images, np.float32)
        self._labels = np.array(workload.labels, np.float32)  # Caffe stores classes as floats
        self._solver = RatedSolver(
            self._lowered.training, cast(Sgd, workload.optimizer), workload.seed
        )
        for place in self._lowered.places:
            place.put(self._solver.net, workload.weights[place.address])
        self._batch_size = 1
        self._nets: dict[int, Any] = {}
        self._look()

    def compile(self, steps: int, batch_size: int) -> None:
        """Run one pass, in which Caffe allocates memory, and undo it; see `Session.compile`."""
        self._differentiate(np.zeros(batch_size, np.int32))
        caffe.set_random_seed(self._seed)

    def train(self, batches: IntArray, learning_rates: FloatArray) -> FloatArray:
        """Train one step on each batch, in order; see `Session.train`."""
        losses = np.empty(len(batches), np.float32)
        rates = learning_rates.astype(np.float32)
        for step, (batch, rate) in enumerate(zip(batches, rates)):
            if not self._solver.has_rate(rate):
                self._change_rate(rate)
            self._fill(batch)
            self._solver.step()
            losses[step] = self._loss
        return losses

    def predict(self, images: FloatArray) -> FloatArray:
        """Return logits (n, classes); see `Session.predict`."""
        net = self._inference_net(len(images))
        net.blobs["data"].data[...] = maps_first(images)
        net.forward()
        return np.array(net.blobs[self._lowered.logits].data)

    def gradients(self, batch: IntArray) -> Gradients:
        """Return the gradients for one batch; see `Session.gradients`."""
        self._differentiate(batch)
        net = self._solver.net
        gradients = {place.address: place.gradient(net) for place in self._lowered.places}
        logits = np.array(net.blobs[self._lowered.logits].data)
        return Gradients(logits, float(self._loss), gradients)

    def weights(self) -> Weights:
        """Return all weights, in float32; there are no running statistics."""
        net = self._solver.net
        return {place.address: place.value(net) for place in self._lowered.places}

    def _look(self) -> None:
        """Find the memory of the network's input and loss, whose address does not change."""
        blobs = self._solver.net.blobs
        self._data, self._label, self._loss = (
            blobs[name].data for name in ("data", "label", "loss")
        )

    def _resize(self, batch_size: int) -> None:
        net = self._solver.net
        net.blobs["data"].reshape(batch_size, *self._images.shape[1:])
        net.blobs["label"].reshape(batch_size)
        net.reshape()
        self._batch_size = batch_size
        self._look()

    def _fill(self, batch: IntArray) -> None:
        """Copy the images and labels of a batch into the network's input."""
        if len(batch) != self._batch_size:
            self._resize(len(batch))
        # Only the modes other than the default write directly to the network's memory.
        self._images.take(batch, axis=0, out=self._data, mode="clip")
        self._labels.take(batch, out=self._label, mode="clip")

    def _change_rate(self, rate: np.float32) -> None:
        self._solver.set_rate(rate)
        self._nets.clear()  # they share the weights of the previous network
        self._resize(self._batch_size)

    def _differentiate(self, batch: IntArray) -> None:
        """Compute logits, loss and gradients of a batch in the network's blobs."""
        net = self._solver.net
        self._fill(batch)
        net.clear_param_diffs()
        net.forward()
        net.backward()

    def _inference_net(self, batch_size: int) -> Any:
        """Return a network for that many images, which shares the weights in training."""
        if batch_size not in self._nets:
            net = open_net(self._lowered.inference)
            net.blobs["data"].reshape(batch_size, *self._images.shape[1:])
            net.reshape()
            net.share_with(self._solver.net)
            self._nets[batch_size] = net
        return self._nets[batch_size]
