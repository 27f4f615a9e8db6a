"""One process of the comparison: adapter and hand-written loops take turns, all compiled.

Reads what to compare as JSON from its argument, prints the rate of every slice as JSON.
"""

import importlib
import json
import sys
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

SLICE_SECONDS = 0.3
# The first steps are the same training in all loops; later, differences in rounding grow.
_SAME_STEPS = 8
_TOLERANCE = 1e-3


def main(request):
    """Time every slice, and print the images/s of the slices by side, in order."""
    bind_to(tuple(request["cpus"]))
    random = np.random.default_rng(request["seed"])
    train = TrainSpec(batch_size=request["batch_size"], optimizer=Sgd())
    examples = _examples(request["data"])
    batches = epoch_batches(len(examples[1]), train, 0)
    calls = _sides(request, examples, train)
    _require_the_same(calls, batches[:_SAME_STEPS])
    shares = {side: batches[: _steps_of_a_slice(call, batches)] for side, call in calls.items()}
    for side, call in calls.items():
        call(shares[side])  # some programs are compiled for a number of steps
    rates = {side: [] for side in calls}
    for _ in range(request["rounds"]):
        for side in random.permutation(list(calls)):
            start = perf_counter()
            calls[side](shares[side])
            rates[side].append(shares[side].size / (perf_counter() - start))
    print(json.dumps(rates))


def _examples(folder):
    data = open_decoded(folder)
    images = scale_pixels(data.train_images).reshape(-1, *data.input_shape)
    return images, data.train_labels.astype(np.int32)


def _sides(request, examples, train):
    """Return the functions of batches that train the adapter and each of the loops, by name."""
    # The backend is made first: it sets the threads and the precision of the whole process.
    module, adapter = recipes()[request["backend"]].adapter.split(":")
    backend = getattr(importlib.import_module(module), adapter)(request["threads"])
    native = importlib.import_module(f"tests.benchmarks.native_{request['backend']}")
    model = resolve(build(request["model"]), examples[0].shape[1:])
    device = next(device for device in backend.devices() if device.kind == "cpu")
    weights = initial_weights(model, 0)
    session = backend.session(
        Workload(model, train.optimizer, weights, *examples, device, request["mode"])
    )
    session.compile(_SAME_STEPS, train.batch_size)
    trainable = [
        value for address, value in weights.items() if not address.endswith(("/mean", "/variance"))
    ]
    rest = *examples, trainable, train.optimizer.learning_rate
    forms = native.forms(request["model"], request["mode"])
    return {
        "adapter": lambda batches: session.train(batches, learning_rates(train, len(batches))),
        **{name: native.prepare(request["model"], form, *rest) for name, form in forms.items()},
    }


def _require_the_same(calls, batches):
    """Check that all sides do the same training, by their first losses."""
    losses = {side: call(batches) for side, call in calls.items()}
    for side, found in losses.items():
        if not np.allclose(found, losses["adapter"], rtol=_TOLERANCE, atol=0):
            raise ValueError(f"{side} does other work: {found}, adapter: {losses['adapter']}")


def _steps_of_a_slice(call, batches):
    start = perf_counter()
    call(batches[:_SAME_STEPS])
    seconds = (perf_counter() - start) / _SAME_STEPS
    return min(max(round(SLICE_SECONDS / seconds), 1), len(batches))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
