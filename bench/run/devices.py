"""Which devices a backend sees: asked of a worker, and only where it may see more than the CPU."""

from collections.abc import Sequence

from backends.api import Recipe
from backends.registry import installed_version
from bench.machine.environments.selector import ALL
from bench.machine.hardware import has_accelerator
from bench.run.executor import Executor
from bench.run.launch import launch_of
from bench.run.plan import choose_devices
from bench.worker.protocol import Devices, Event, Probe

_PROBE_SECONDS = 120.0  # a cold disk can take a minute to import a framework


def wants_gpu(devices: Sequence[str]) -> bool:
    """Whether a GPU is among the devices, as far as the machine tells without a framework."""
    asks = "auto" in devices or ALL in devices
    return (asks and has_accelerator()) or any(name.startswith("gpu") for name in devices)


def devices_of(recipe: Recipe, received: Sequence[str], executor: Executor) -> list[str]:
    """The devices that a backend is to train on, as `bench.run.plan.choose_devices` has them."""
    asks = "auto" in received or ALL in received
    may_see_more = asks and has_accelerator() and installed_version(recipe) is not None
    return choose_devices(received, probe(recipe, executor) if may_see_more else ["cpu"])


def probe(recipe: Recipe, executor: Executor) -> list[str]:
    """The devices that the framework sees, asked of a worker; the CPU if it does not answer.

    A framework that cannot start fails its trials too, and is recorded there with the reason.
    """
    told: list[Event] = []
    executor.run(Probe(recipe.adapter), launch_of(recipe), _PROBE_SECONDS, told.append)
    answers = [list(event.devices) for event in told if isinstance(event, Devices)]
    return answers[0] if answers and answers[0] else ["cpu"]
