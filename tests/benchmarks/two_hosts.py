"""The gain from a second host: one worker on one CPU compared with two that share each batch.

    PYTHONPATH=tests python -m benchmarks.two_hosts [REPEATS]

The hosts are this machine: each worker is bound to a CPU of its own, and they exchange over the
loopback interface, as the nodes of a cluster do over theirs. Prints a line a trial, in turn.
"""

import sys

from backends.registry import recipes
from bench.data.prepare import prepare
from bench.run.executor import LocalExecutor
from bench.run.launch import launch_of
from bench.spec.job import Job
from bench.spec.models import build
from bench.spec.training import Sgd
from bench.worker.protocol import EpochEnded, Failed, TrainTask

CONTENDERS = [("torch", "eager"), ("tensorflow", "graph"), ("jax", "jit"), ("jax", "scan")]
SAMPLES = {"mlp": 12_800, "cnn": 5_120}
# (hosts, batch size): one host, two hosts with the same batch, and with twice the batch.
SETTINGS = [(1, 256), (2, 256), (2, 512)]
SECONDS = 200


def main(repeats):
    """Print images/s of the second epoch."""
    known = recipes()
    for repeat in range(repeats):
        for model in SAMPLES:
            for name, mode in CONTENDERS:
                for hosts, batch in SETTINGS:
                    result = trial(known[name], mode, model, hosts, batch, repeat)
                    print(repeat, model, name, mode, f"{hosts} hosts, batch {batch}: {result}")


def trial(recipe, mode, model, hosts, batch, seed):
    """Return images/s and accuracy of the second epoch, or why there is none."""
    task = TrainTask(
        adapter=recipe.adapter,
        cpus=tuple(range(hosts)),
        processes=hosts,
        job=Job(model, batch, recipe.name, mode, "cpu", world_size=hosts, hosts=hosts),
        model=build(model),
        epochs=2,
        seed=seed,
        optimizer=Sgd(),
        data=str(prepare(None).folder),
        train_samples=SAMPLES[model],
    )
    events = []
    LocalExecutor().run(task, launch_of(recipe, recipe.cold), SECONDS, events.append)
    for event in reversed(events):
        if isinstance(event, Failed):
            return event.reason
        if isinstance(event, EpochEnded):
            return f"{event.images / event.seconds:,.0f} images/s, {event.test_accuracy:.4f}"
    return "no event was reported"


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
