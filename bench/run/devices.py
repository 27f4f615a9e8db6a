"""Lists the devices that a backend sees; a worker does it, unless there can only be the CPU."""

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
    """Return whether a GPU is among the devices, as far as is known without a framework."""
    any_device = "auto" in devices or ALL in devices
    return (any_device and has_accelerator()) or any(name.startswith("gpu") for name in devices)


def devices_of(recipe: Recipe, received: Sequence[str], executor: Executor) -> list[str]:
    """Return the devices that a backend trains on.

    Args:
        recipe: of the backend.
        received: the values of --devices.
        executor: runs the worker that lists the devices.
    """
    any_device = "auto" in received or ALL in received
    may_see_more = any_device and has_accelerator() and installed_version(recipe) is not None
    return choose_devices(received, probe(recipe, executor) if may_see_more else ["cpu"])


def probe(recipe: Recipe, executor: Executor) -> list[str]:
    """Have a worker list the devices that the framework sees; the CPU if it does not answer.

    A framework that cannot start fails its trials too, and their records contain the reason.
    """
    events: list[Event] = []
    executor.run(Probe(recipe.adapter), launch_of(recipe), _PROBE_SECONDS, events.append)
    answers = [list(event.devices) for event in events if isinstance(event, Devices)]
    return answers[0] if answers and answers[0] else ["cpu"]
