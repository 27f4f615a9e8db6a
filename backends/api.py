"""The contract between the suite and a backend.

The suite owns what must be equal: initial weights, batch order, learning rates, clock, accuracy.
A backend owns what must be native: the lowering of the spec, memory layout, the compiled inner
loop, synchronisation with the device, memory counters.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Callable, NamedTuple, Optional

import msgspec

if TYPE_CHECKING:  # the runner reads recipes without loading NumPy
    import numpy.typing as npt

    from backends.native import Defaults
    from bench.spec.process_group import ProcessGroup
    from bench.spec.shapes import Node
    from bench.spec.training import Optimizer
    from bench.spec.weights import FloatArray, IntArray, Weights


class Unsupported(Exception):  # noqa: N818 - named after the outcome; the program did not fail
    """The backend cannot do this at all: names the layer, mode, device or precision."""


def unsupported_layer(framework: str, node: Node) -> Unsupported:
    """Return the error for a layer that a framework does not support."""
    where = node.path or "the root"
    return Unsupported(f"{framework} does not support layer {node.layer.kind} at {where}")


def _refusal(
    framework: str, what: str, requested: str, supported: Collection[str], where: str = ""
) -> str:
    """Return why a request is unsupported; empty where it is supported."""
    if requested in supported:
        return ""
    return (
        f"{framework} does not support {what} {requested!r}{where}; "
        f"it supports {', '.join(supported) or 'none'}"
    )


def part_of(batch: int, world_size: int) -> int:
    """Return the number of images of a batch that each process or device takes.

    Raises:
        ValueError: the batch cannot be split into equal parts.
    """
    if batch % world_size:
        raise ValueError(
            f"a batch of {batch} images cannot be split into {world_size} equal parts; "
            "choose a batch size that is a multiple of the world size"
        )
    return batch // world_size


class Recipe(msgspec.Struct, frozen=True):
    """The description of a backend that is readable without importing its framework.

    Attributes:
        name: the name on the command line, after --backends.
        title: the framework's name as people write it.
        requirements: pip requirements; the first is the framework, whose version is reported.
        modes: all modes; the fastest to start comes first.
        default_modes: the modes that run without --modes.
        adapter: `module:class` of the `Backend`; only workers import it.
        python: the supported Python versions as a pip specifier; empty for any.
        system_packages: Debian packages that pip does not install, each with the program (`g++`)
            or library (`lib:openblas`) that shows that it is installed.
        gpu_requirements: replaces `requirements` for training on a GPU; empty for no difference.
        isolated: whether its requirements conflict with other backends', so that it always needs
            its own environment.
        environment: environment variables of every worker.
        cold: additional variables of a trial's worker. Trials measure compilation, so the
            framework's compilation caches are off; certificates are not timed and use them.
        warm: variables that enable the framework's compilation cache in the folder `{cache}`, to
            measure a warm compilation; empty where the framework has no cache on disk.
        precisions: the precisions supported on every device.
        gpu_precisions: the additional precisions supported on GPUs.
        inputs: the supported sources of images, "resident" or "pipeline".
        parallel_modes: the modes that train data-parallel over several processes or devices.
        parallel_environment: additional variables of a data-parallel trial's worker, where
            `{world_size}` stands for the number of processes or devices on its machine.
        one_process_per_rank: whether each part of a shared batch takes its own worker process;
            otherwise the parts are devices of one process.
        joins_hosts: whether several machines can share a data-parallel training.
        engine: the backend whose peak rates are also those of this one, because both call the same
            framework; empty for its own.
        interpreter: set by the suite: the Python of the workers' environment; empty for this one.
        packages: set by the suite: installed versions in that environment, by canonical name.
        absence: set by the suite: why the backend has no environment; empty where it has one.
    """

    name: str
    title: str
    requirements: tuple[str, ...]
    modes: tuple[str, ...]
    default_modes: tuple[str, ...]
    adapter: str
    python: str = ""
    system_packages: dict[str, str] = {}
    gpu_requirements: tuple[str, ...] = ()
    isolated: bool = False
    environment: dict[str, str] = {}
    cold: dict[str, str] = {}
    warm: dict[str, str] = {}
    precisions: tuple[str, ...] = ("float32",)
    gpu_precisions: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ("resident",)
    parallel_modes: tuple[str, ...] = ()
    parallel_environment: dict[str, str] = {}
    one_process_per_rank: bool = False
    joins_hosts: bool = False
    engine: str = ""
    interpreter: str = ""
    packages: dict[str, str] = {}
    absence: str = ""

    def unsupported(self, device: str, precision: str, feed: str) -> str:
        """Return why the precision or input is unsupported; empty where both are supported."""
        known = self.precisions_on(device)
        return _refusal(
            self.title, "precision", precision, known, where=f" on {device}"
        ) or _refusal(self.title, "input", feed, self.inputs)

    def unsupported_parallel(self, mode: str, feed: str, world_size: int, hosts: int = 1) -> str:
        """Return why data-parallel training is unsupported; empty where it is supported."""
        if world_size == 1:
            return ""
        if feed != "resident":
            return f"input {feed!r} is not supported at world size {world_size}; use 'resident'"
        if hosts > 1 and not self.joins_hosts:
            return f"{self.title} does not support training over {hosts} hosts"
        where = f" at world size {world_size}"
        return _refusal(self.title, "mode", mode, self.parallel_modes, where)

    def processes_for(self, local_size: int) -> int:
        """Return the number of worker processes on a machine with so many parts of a batch."""
        return local_size if self.one_process_per_rank else 1

    def precisions_on(self, device: str) -> tuple[str, ...]:
        """Return the precisions on a kind of device, `cpu`, `gpu:0` or `mps`."""
        return self.precisions + (self.gpu_precisions if device.startswith("gpu") else ())


class Device(msgspec.Struct, frozen=True):
    """A device to train on.

    Attributes:
        kind: cpu, gpu or mps.
        index: the number among the devices of its kind.
        title: the manufacturer's name of the device.
    """

    kind: str
    index: int = 0
    title: str = ""

    @property
    def name(self) -> str:
        """The name on the command line, after --devices: `cpu`, `gpu:0`, `mps`."""
        return f"gpu:{self.index}" if self.kind == "gpu" else self.kind


class Workload(NamedTuple):
    """Everything that a session is made from.

    Attributes:
        model: the resolved model.
        optimizer: the update rule; `train` receives the learning rate of each step.
        weights: initial values by address, canonical layout, float32.
        images: (examples, height, width, channels) float32, scaled. Keep no view of them. With
            the input "pipeline": uint8 pixels, not yet scaled (see
            `bench.spec.training.scale_pixels`), which do not change.
        labels: (examples,) int32 classes.
        device: one of the backend's devices.
        mode: one of the recipe's modes.
        precision: see `bench.spec.precision`.
        seed: for dropout only.
        input: "resident", or "pipeline" for the framework's own data loader.
        world_size: the number of processes or devices that share each batch in equal parts.
            `train` and `gradients` receive whole batches and return results of whole batches.
    """

    model: Node
    optimizer: Optimizer
    weights: Weights
    images: npt.NDArray[Any]
    labels: IntArray
    device: Device
    mode: str
    precision: str = "float32"
    seed: int = 0
    input: str = "resident"
    world_size: int = 1


# A measurable operation: a call runs all of it and returns with the device idle.
Work = Callable[[], object]


class Gradients(NamedTuple):
    """The results of one training-mode forward and backward pass.

    Attributes:
        logits: (batch, classes).
        loss: the mean over the batch.
        weights: the gradient of each trainable weight, by address.
    """

    logits: FloatArray
    loss: float
    weights: Weights


class Session(ABC):
    """A model, its optimizer's state and its data on one device. Owns the device's memory."""

    @abstractmethod
    def compile(self, steps: int, batch_size: int) -> None:
        """Prepare for `train` calls of shape (steps, batch_size) without training.

        Traces, compiles, loads kernels. Afterwards the weights, statistics and optimizer state
        have their previous values, and the device is idle.
        """

    @abstractmethod
    def train(self, batches: IntArray, learning_rates: FloatArray) -> FloatArray:
        """Train one step on each batch, in order.

        Args:
            batches: (steps, batch) int32 indices into the workload's images.
            learning_rates: (steps,) float32.

        Returns:
            (steps,) float32: the mean loss of each step before its update. A framework that
            reports only the mean over several steps returns that mean for each of them. The
            device is idle.
        """

    @abstractmethod
    def predict(self, images: FloatArray) -> FloatArray:
        """Return logits (n, classes) of scaled images (n, height, width, channels)."""

    def predictor(self, batch_size: int) -> Callable[[FloatArray], FloatArray]:
        """Return the fastest form of `predict` for one batch size, with the current weights.

        Making it and its first call are not timed. No training follows.
        """
        return self.predict

    @abstractmethod
    def gradients(self, batch: IntArray) -> Gradients:
        """Return the gradients for one batch of indices, (batch,), in training mode.

        Changes nothing: neither weights nor running statistics.
        """

    @abstractmethod
    def weights(self) -> Weights:
        """Return all weights and running statistics, canonical layout, float32 or float64."""

    def device_memory(self) -> Optional[int]:
        """Return the peak bytes of the device's allocator; None where unknown, never 0."""
        return None

    def agree(self, decision: bool = True) -> bool:
        """Wait for all processes of the group, then return the decision of rank 0.

        Processes that share a training must make the same calls in the same order. Every decision
        that depends on a clock or on predictions goes through this method. It is also the barrier
        before a call that is timed.
        """
        return decision

    def communication_seconds(self) -> Optional[float]:
        """Return the seconds per step spent exchanging gradients; None where unknown."""
        return None


class Backend(ABC):
    """A framework in this process. Constructing it imports the framework and sets its threads.

    Attributes:
        recipe: the backend's recipe.
        optimizers: the supported optimizers, by the names of the spec.
        packages: the packages whose versions are reported; the framework comes first.
    """

    recipe: Recipe
    optimizers: tuple[str, ...] = ("sgd", "adam")
    packages: tuple[str, ...] = ()

    @abstractmethod
    def __init__(self, threads: int) -> None:
        """Import the framework and configure it for `threads` CPU threads."""

    def versions(self) -> dict[str, str]:
        """Return the version of each package that takes part; the framework's comes first."""
        return {name: version(name) for name in self.packages}

    def devices(self) -> list[Device]:
        """Return the devices that the framework sees, fastest kind first; by default the CPU."""
        return [Device("cpu")]

    def precisions(self, device: Device) -> Collection[str]:
        """Return the precisions that a device supports."""
        return self.recipe.precisions_on(device.name)

    def inputs(self, mode: str) -> Collection[str]:
        """Return the inputs that a mode supports."""
        return self.recipe.inputs

    def join(self, group: ProcessGroup) -> None:
        """Join the other worker processes that run the same task, before any other call.

        Afterwards `world_size` counts the processes or devices of the whole group, with the same
        number on each machine. Every process makes the same sessions and calls `compile`, `train`,
        `gradients` and `agree` in the same order.

        Raises:
            Unsupported: the framework does not support training over several processes.
        """
        raise Unsupported(f"{self.recipe.title} does not support training over several processes")

    def native_defaults(self, seed: int) -> Optional[Defaults]:
        """Return the framework's own default choices; None where it makes none.

        They are read from the framework, not from a table. Weights are drawn with the seed.
        """
        return None

    def multiply(self, size: int, device: Device, precision: str) -> Optional[Work]:
        """Return the framework's fastest product of two (size, size) matrices.

        It measures the device's peak rate; None where the framework or precision has none.
        """
        return None

    def copy(self, size: int, device: Device) -> Optional[Work]:
        """Return the framework's fastest copy of `size` bytes in device memory, or None."""
        return None

    def is_out_of_memory(self, error: Exception) -> bool:
        """Return whether the error means that the host or device ran out of memory."""
        return isinstance(error, MemoryError)

    def session(self, workload: Workload) -> Session:
        """Lower the model, and place weights and data on the device.

        Raises:
            Unsupported: the backend does not support a layer, device, mode, input, precision,
                optimizer or world size.
        """
        self._check(workload)
        return self._session(workload)

    @abstractmethod
    def _session(self, workload: Workload) -> Session:
        """Make the session of a workload whose settings are supported.

        Raises:
            Unsupported: a layer, or a setting that the recipe does not describe.
        """

    def _check(self, workload: Workload) -> None:
        """Check the settings of a workload against the declarations of this backend."""
        mode, device = workload.mode, workload.device
        self._require("device", device.name, [known.name for known in self.devices()])
        self._require("mode", mode, self.recipe.modes)
        self._require("input", workload.input, self.inputs(mode), f" in mode {mode}")
        precisions = self.precisions(device)
        self._require("precision", workload.precision, precisions, f" on {device.name}")
        optimizer = type(workload.optimizer).__name__.lower()
        self._require("optimizer", optimizer, self.optimizers)
        if refusal := self.recipe.unsupported_parallel(mode, workload.input, workload.world_size):
            raise Unsupported(refusal)

    def _require(
        self, what: str, requested: str, supported: Collection[str], where: str = ""
    ) -> None:
        if refusal := _refusal(self.recipe.title, what, requested, supported, where):
            raise Unsupported(refusal)
