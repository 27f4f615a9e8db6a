"""From a matrix of values to jobs, and from jobs to trials in the order of the run.

Each repeat is a block that contains every job once, in an order drawn from the seed, so that drift
of the machine affects all jobs alike.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec
import numpy as np

from backends.api import Recipe
from bench.errors import ChoiceError, check_known
from bench.machine.environments.selector import ALL
from bench.spec.job import Arm, Feed, Job, Trial

MODES_DEFAULT = "default"
DEVICE_PATTERN = re.compile(r"auto|all|cpu|mps|gpu(:\d+)?")


def choose_modes(
    recipes: Sequence[Recipe], received: Sequence[str], others: Sequence[Recipe] = ()
) -> dict[str, tuple[str, ...]]:
    """Choose the modes of each backend.

    Args:
        recipes: the backends.
        received: `default`, `all`, or names of modes.
        others: further backends whose modes are valid names.

    Returns:
        Each backend's modes, by its name; a backend without any of the named modes has none.

    Raises:
        ChoiceError: no backend has a mode of that name.
    """
    if received == [MODES_DEFAULT]:
        return {recipe.name: recipe.default_modes for recipe in recipes}
    if received == [ALL]:
        return {recipe.name: recipe.modes for recipe in recipes}
    known = dict.fromkeys(mode for recipe in (*recipes, *others) for mode in recipe.modes)
    check_known(received, known, "mode")
    return {
        recipe.name: tuple(mode for mode in recipe.modes if mode in received) for recipe in recipes
    }


def unsupported_by(job: Job, recipes: Mapping[str, Recipe]) -> str:
    """Return why the backend's recipe does not support the job; empty where it may."""
    recipe = recipes[job.backend]
    return recipe.unsupported(job.device, job.precision, job.input) or recipe.unsupported_parallel(
        job.mode, job.input, job.world_size, job.hosts
    )


def check_devices(received: Sequence[str]) -> None:
    """Check the values of --devices.

    Raises:
        ChoiceError: a value is not a device name.
    """
    if not received:
        raise ChoiceError("received no device, expected auto, all, cpu, gpu, gpu:1 or mps")
    for name in received:
        if not DEVICE_PATTERN.fullmatch(name):
            raise ChoiceError(
                f"unknown device {name!r}: expected auto, all, cpu, gpu, gpu:1 or mps"
            )


def choose_devices(received: Sequence[str], seen: Sequence[str]) -> list[str]:
    """Choose the devices of one backend.

    Args:
        received: auto (the first GPU if there is one, else the CPU), all, or names.
        seen: names of the devices that the backend sees, the fastest kind first.

    Returns:
        Different names. A named device that is not seen is included: its trial reports that.
    """
    chosen: list[str] = []
    for name in received:
        if name == "auto":
            chosen += [seen[0]]
        elif name == ALL:
            chosen += seen
        else:
            chosen += ["gpu:0" if name == "gpu" else name]
    return list(dict.fromkeys(chosen))


# Values by the field of a job: a job matches if each field has the value, or one of the list.
Selector = dict[str, str | int | list[str | int]]
Scaling = Literal["strong", "weak"]


def fits(job: Job, selector: Selector, threads: int) -> bool:
    """Return whether the job matches the selector.

    Args:
        job: of the plan.
        selector: values by field; an empty one matches every job.
        threads: number of threads of a job that has none of its own.
    """
    return all(
        (getattr(job, field) if field != "threads" else job.threads or threads)
        in (value if isinstance(value, list) else [value])
        for field, value in selector.items()
    )


class Matrix(msgspec.Struct, frozen=True, kw_only=True):
    """Values of which every combination is a job, as the backends and the data set allow.

    Attributes:
        models: names of models.
        batch_sizes: examples per step.
        modes: each backend's modes.
        devices: each backend's devices.
        arms: who chooses what a user usually leaves unspecified.
        precisions: precisions of the arithmetic.
        inputs: where each step's images come from.
        threads: CPU threads per process; None is the run's number.
        world_sizes: numbers of processes or devices that share each batch.
        hosts: numbers of machines to spread them over; combinations that do not divide evenly are
            left out.
        scalings: "strong" leaves the batch size as it is, "weak" multiplies it by the world size.
        environments: each backend's sets of environment variables; by default one empty set.
    """

    models: Sequence[str]
    batch_sizes: Sequence[int]
    modes: Mapping[str, Sequence[str]]
    devices: Mapping[str, Sequence[str]]
    arms: Sequence[Arm] = ("controlled",)
    precisions: Sequence[str] = ("float32",)
    inputs: Sequence[Feed] = ("resident",)
    threads: Sequence[int | None] = (None,)
    world_sizes: Sequence[int] = (1,)
    hosts: Sequence[int] = (1,)
    scalings: Sequence[Scaling] = ("strong",)
    environments: Mapping[str, Sequence[tuple[str, ...]]] = {}

    def jobs(self) -> list[Job]:
        """Return every combination once, backend by backend."""
        made = (
            Job(
                model=model,
                batch_size=batch_size * (world_size if scaling == "weak" else 1),
                backend=backend,
                mode=mode,
                device=device,
                arm=arm,
                precision=precision,
                input=feed,
                threads=threads,
                world_size=world_size,
                hosts=hosts,
                environment=environment,
            )
            for model in self.models
            for batch_size in self.batch_sizes
            for backend in self.modes
            for device in self.devices[backend]
            for mode in self.modes[backend]
            for arm in self.arms
            for precision in self.precisions
            for feed in self.inputs
            for threads in self.threads
            for world_size in self.world_sizes
            for hosts in self.hosts
            if world_size % hosts == 0
            for scaling in self.scalings
            for environment in self.environments.get(backend, ((),))
        )
        return list(dict.fromkeys(made))


def trials(planned: Sequence[Job], repeats: int, seed: int) -> list[Trial]:
    """Return all trials in the order of the run."""
    return [trial for repeat in range(1, repeats + 1) for trial in block(planned, repeat, seed)]


def block(planned: Sequence[Job], repeat: int, seed: int) -> list[Trial]:
    """Return one repeat: every job once, in an order drawn from the seed and the repeat.

    All jobs of repeat r train with seed + r - 1, so the spread over repeats includes the effect of
    the initialisation.
    """
    order = np.random.default_rng([seed, repeat]).permutation(len(planned))
    return [Trial(planned[index], seed + repeat - 1, repeat) for index in order]
