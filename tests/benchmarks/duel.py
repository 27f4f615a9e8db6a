"""One process of the comparison: adapter and hand-written loop alternate, both compiled.

Reads what to compare as JSON from its argument, prints the seconds of every call as JSON.
"""

import importlib
import json
import sys
from functools import partial
from time import perf_counter

import numpy as np

from backends.api import Workload
from backends.registry import recipes
from bench.data.decoded import open_decoded
from bench.spec.models import build
from bench.spec.shapes import resolve
from bench.spec.training import Sgd, TrainSpec, epoch_batches, learning_rates, scale_pixels
from bench.spec.weights import initial_weights
from bench.worker.process import bind_to

SIDES = ("adapter", "native")


def main(request):
    """Time every call, and print the seconds of the calls by side, in order."""
    bind_to(tuple(request["cpus"]))
    train = TrainSpec(batch_size=request["batch_size"], optimizer=Sgd())
    examples = _examples(request["data"])
    batches = epoch_batches(len(examples[1]), train, 0)[: request["steps"]]
    makers = {"adapter": partial(_adapter, _backend(request)), "native": _native}
    order = SIDES if request["adapter_first"] else SIDES[::-1]
    calls = {side: makers[side](request, examples, train, batches) for side in order}
    first = {side: calls[side]() for side in order}
    seconds = {side: [] for side in SIDES}
    for pair in range(request["pairs"]):
        for side in order if pair % 2 == 0 else order[::-1]:
            start = perf_counter()
            losses = calls[side]()
            seconds[side].append(perf_counter() - start)
            if not np.mean(losses) < np.mean(first[side]):
                raise ValueError(f"{side}: {np.mean(first[side])} became {np.mean(losses)}")
    print(json.dumps({"images": batches.size, "seconds": seconds}))


def _examples(folder):
    data = open_decoded(folder)
    images = scale_pixels(data.train_images).reshape(-1, *data.input_shape)
    return images, data.train_labels.astype(np.int32)


def _backend(request):
    """Return the adapter's backend, which also sets threads and precision of the other loop."""
    module, adapter = recipes()[request["backend"]].adapter.split(":")
    return getattr(importlib.import_module(module), adapter)(request["threads"])


def _adapter(backend, request, examples, train, batches):
    model = resolve(build(request["model"]), examples[0].shape[1:])
    device = next(device for device in backend.devices() if device.kind == "cpu")
    weights = initial_weights(model, 0)
    session = backend.session(
        Workload(model, train.optimizer, weights, *examples, device, request["mode"])
    )
    session.compile(*batches.shape)
    return lambda: session.train(batches, learning_rates(train, len(batches)))


def _native(request, examples, train, batches):
    prepare = importlib.import_module(f"tests.benchmarks.native_{request['backend']}").prepare
    rate = train.optimizer.learning_rate
    loop = prepare(request["model"], request["mode"], *examples, rate)
    return lambda: loop(batches)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
