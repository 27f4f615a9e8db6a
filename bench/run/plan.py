"""What will be measured: from the choices of a command to jobs, and from jobs to trials in order.

A job is what is compared: model, batch size, backend, mode, device, precision and input. A trial
is one process: one job, one seed, one repeat. Each repeat is a block that holds every job once, in
an order drawn from the seed, so that drift of the machine falls on all jobs alike.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Literal, get_args

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
    """The modes of each backend: `default`, `all`, or those of its own that are named.

    Args:
        recipes: of the backends.
        received: the words.
        others: backends whose modes may be named too.

    Raises:
        ChoiceError: a name that is a mode of none of the backends.
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


def lacking_for(job: Job, recipes: Mapping[str, Recipe]) -> str:
    """Return why the backend's recipe does not support the job; empty where it may."""
    recipe = recipes[job.backend]
    return recipe.unsupported(job.device, job.precision, job.input) or recipe.unsupported_parallel(
        job.mode, job.input, job.world_size, job.hosts
    )


def check_devices(received: Sequence[str]) -> None:
    """Check the words after --devices.

    Raises:
        ChoiceError: a word that names no device.
    """
    if not received:
        raise ChoiceError("received no device, expected auto, all, cpu, gpu, gpu:1 or mps")
    for name in received:
        if not DEVICE_PATTERN.fullmatch(name):
            raise ChoiceError(
                f"unknown device {name!r}: expected auto, all, cpu, gpu, gpu:1 or mps"
            )


def choose_devices(received: Sequence[str], seen: Sequence[str]) -> list[str]:
    """The devices of one backend.

    Args:
        received: auto (the first GPU if there is one, else the CPU), all, or names.
        seen: the names of the devices that the backend sees, the fastest kind first.

    Returns:
        Names without repetition. One that is named and not seen stays: its trial will say so.
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


# Values by the field of a job: each field has to have the value, or one of the list.
Selector = dict[str, str | int | list[str | int]]
Scaling = Literal["strong", "weak"]
SCALINGS: tuple[Scaling, ...] = get_args(Scaling)


def fits(job: Job, selector: Selector, threads: int) -> bool:
    """Whether the job is one of those that the selector means.

    Args:
        job: one that is planned.
        selector: without a field, every job fits.
        threads: those of a job that has no number of its own.
    """
    return all(
        (getattr(job, field) if field != "threads" else job.threads or threads)
        in (value if isinstance(value, list) else [value])
        for field, value in selector.items()
    )


class Matrix(msgspec.Struct, frozen=True, kw_only=True):
    """Choices of which every combination is a job.

    Attributes:
        models: names of models.
        batch_sizes: examples a step.
        modes: each backend's modes.
        devices: each backend's devices.
        arms: who chooses what a user would leave unsaid.
        precisions: of the arithmetic.
        inputs: where each step's images come from.
        threads: CPU threads of each process; None is the run's number.
        world_sizes: processes or devices that share each step's batch.
        hosts: machines that these are on; a number that does not divide a world size is left out
            with it.
        scalings: of the batch with the world size: "strong" keeps it, "weak" takes it as many
            times.
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

    def jobs(self) -> list[Job]:
        """Every combination once, backend by backend."""
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
        )
        return list(dict.fromkeys(made))


def trials(planned: Sequence[Job], repeats: int, seed: int) -> list[Trial]:
    """Every trial in the order of the run."""
    return [trial for repeat in range(1, repeats + 1) for trial in block(planned, repeat, seed)]


def block(planned: Sequence[Job], repeat: int, seed: int) -> list[Trial]:
    """One repeat: every job once, in an order drawn from the seed and the repeat.

    Repeat r trains with seed + r - 1, the same for every job, so that the spread over repeats
    shows what another initialisation does to the accuracy.
    """
    order = np.random.default_rng([seed, repeat]).permutation(len(planned))
    return [Trial(planned[index], seed + repeat - 1, repeat) for index in order]
