"""The contract between the suite and a backend.

The suite owns what must be equal: the initial weights, the batch order, the learning rates, the
clock, the accuracy. A backend owns what must be native: the lowering of the spec, the memory
layout, the compiled inner loop, the synchronisation with the device, its memory counters.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection
from typing import TYPE_CHECKING, Any, Callable, NamedTuple, Optional

import msgspec

if TYPE_CHECKING:  # the runner reads recipes without loading NumPy
    import numpy.typing as npt

    from backends.native import Defaults
    from bench.spec.shapes import Node
    from bench.spec.training import Optimizer
    from bench.spec.weights import FloatArray, IntArray, Weights


class Unsupported(Exception):  # noqa: N818 - the outcome's name, not a fault of the program
    """What the backend cannot do at all: a layer, a mode, a device, a precision. Names it."""


def require(framework: str, what: str, received: str, known: Collection[str]) -> None:
    """See that a backend has what is asked of it.

    Raises:
        Unsupported: it has not; names what it has.
    """
    if received not in known:
        raise Unsupported(_refusal(framework, what, received, known))


def _refusal(framework: str, what: str, received: str, known: Collection[str]) -> str:
    return f"{what}: received {received!r}, {framework} has only {', '.join(known) or 'none'}"


def part_of(batch: int, world_size: int) -> int:
    """How many images of a batch each of the processes or devices that share it takes.

    Raises:
        ValueError: they cannot take equally many.
    """
    if batch % world_size:
        raise ValueError(
            f"received a batch of {batch} images and world size {world_size}, expected a "
            "multiple of the world size: each process takes an equal part"
        )
    return batch // world_size


class Recipe(msgspec.Struct, frozen=True):
    """What the suite knows of a backend without importing its framework.

    Attributes:
        name: as typed after --backends, and the name of the backend's folder.
        title: as people write the framework's name.
        requirements: the packages that must be installed, as pip takes them; the first is the
            framework, whose version is quoted.
        modes: every mode, the fastest to start first.
        default_modes: those that run unless --modes says otherwise.
        adapter: `module:class` of the `Backend`, imported by a worker only.
        python: the versions of Python that it runs on, as pip writes them; empty is any.
        system_packages: what must be on the machine and pip does not bring: each Debian package,
            and the program (`g++`) or library (`lib:openblas`) that shows that it is there.
        gpu_requirements: in the place of `requirements` where it is to train on a GPU; empty is
            the same.
        isolated: whether its requirements shut out other backends', so that it always has an
            environment of its own.
        environment: variables that the worker's process starts with.
        cold: variables that the worker of a trial has besides, since its compilation is timed and
            must be a cold one; the check of equal work, which is not timed, goes without.
        warm: variables that turn on the framework's own cache of compiled code in the folder
            `{cache}`, to measure a warm compilation; empty where it has none on disk.
        precisions: those that it computes in, on every device.
        gpu_precisions: those that it computes in on a GPU beside them.
        inputs: where its steps take images from, "resident" or "pipeline".
        parallel_modes: those that train data-parallel, over several processes or devices.
        parallel_environment: variables that the worker of such a trial starts with besides;
            `{world_size}` stands for the number of its own.
        joins_hosts: whether several machines can share such a training.
        interpreter: set by the suite: the Python of the environment that its workers run in; empty
            is this one.
        packages: set by the suite: the versions that this environment holds, by canonical name.
        absence: set by the suite: why there is no environment for it; empty where there is.
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
    joins_hosts: bool = False
    interpreter: str = ""
    packages: dict[str, str] = {}
    absence: str = ""

    def lacking(self, device: str, precision: str, feed: str) -> str:
        """Which of these the backend lacks, known without its framework; empty if none is."""
        on_gpu = device.startswith("gpu")
        for what, received, known in (
            (f"precision on {device}", precision, self._precisions(on_gpu)),
            ("input", feed, self.inputs),
        ):
            if received not in known:
                return _refusal(self.title, what, received, known)
        return ""

    def lacking_parallel(self, mode: str, feed: str, world_size: int, hosts: int = 1) -> str:
        """What the backend lacks to share a step's batch; empty where it can, or has not to."""
        if world_size == 1:
            return ""
        if feed != "resident":
            return f"world size {world_size}: input {feed!r} is not shared, only 'resident' is"
        if hosts > 1 and not self.joins_hosts:
            return f"{hosts} hosts: {self.title} shares no training between machines here"
        return (
            ""
            if mode in self.parallel_modes
            else _refusal(self.title, f"world size {world_size} in mode", mode, self.parallel_modes)
        )

    def _precisions(self, on_gpu: bool) -> tuple[str, ...]:
        return self.precisions + self.gpu_precisions if on_gpu else self.precisions


class Device(msgspec.Struct, frozen=True):
    """A place to train on. `kind` is cpu, gpu or mps; `title` is the maker's name for it."""

    kind: str
    index: int = 0
    title: str = ""

    @property
    def name(self) -> str:
        """As typed after --devices: `cpu`, `gpu:0`, `mps`."""
        return f"gpu:{self.index}" if self.kind == "gpu" else self.kind


class Workload(NamedTuple):
    """All that a session is made from.

    Attributes:
        model: the resolved model.
        optimizer: the rule of the update; the learning rate of each step comes with `train`.
        weights: initial values by address, canonical layout, float32.
        images: (examples, height, width, channels) float32, already scaled. Keep no view of it.
            With the input "pipeline", the pixels: uint8, still to be scaled as
            `bench.spec.training.scale_pixels` does, that stay where they are.
        labels: (examples,) int32 classes.
        device: one of the backend's devices.
        mode: one of the recipe's modes.
        precision: see `bench.spec.precision`.
        seed: for dropout alone.
        input: "resident", or "pipeline" for the framework's own loader of batches.
        world_size: processes or devices of this kind that share each batch, an equal part each.
            `train` and `gradients` are given whole batches, and what they return is of the whole.
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


class Hosts(NamedTuple):
    """The machines that share a training, a process of this suite on each.

    Attributes:
        host: which of them this process is on; 0 leads.
        addresses: `host:port` of each, free for what the framework itself exchanges.
    """

    host: int
    addresses: tuple[str, ...]


ALONE = Hosts(0, ("",))

# Something to be timed: a call does it all, and returns with the device idle.
Work = Callable[[], object]


class Gradients(NamedTuple):
    """One training-mode forward and backward pass: logits (batch, classes), loss, gradients."""

    logits: FloatArray
    loss: float
    weights: Weights


class Session(ABC):
    """A model, its optimizer's state and its data on one device. Owns the device's memory."""

    @abstractmethod
    def compile(self, steps: int, batch_size: int) -> None:
        """Do all that the first `train` call of (steps, batch_size) would do but train.

        Trace, compile, load kernels; then the weights, the statistics and the optimizer's state
        are as they were before. Returns with the device idle.
        """

    @abstractmethod
    def train(self, batches: IntArray, learning_rates: FloatArray) -> FloatArray:
        """Train one step on each batch, in order.

        Args:
            batches: (steps, batch) int32 indices into the workload's images.
            learning_rates: (steps,) float32.

        Returns:
            (steps,) float32: each step's mean loss before its update; where the framework tells
            only the mean over several steps, that mean for each of them. The device is idle.
        """

    @abstractmethod
    def predict(self, images: FloatArray) -> FloatArray:
        """Logits (n, classes) of (n, height, width, channels) scaled images, in inference mode."""

    def predictor(self, batch_size: int) -> Callable[[FloatArray], FloatArray]:
        """The fastest form of `predict` for batches of one size, with the weights as they are now.

        It may take time to make ready or to call first: neither is in the time of a prediction.
        No training comes after it.
        """
        return self.predict

    @abstractmethod
    def gradients(self, batch: IntArray) -> Gradients:
        """Logits, mean loss and gradients of one batch of indices, (batch,), in training mode.

        Changes nothing: neither weights nor running statistics.
        """

    @abstractmethod
    def weights(self) -> Weights:
        """Every weight and running statistic by address, in the canonical layout, float32 or 64."""

    def device_memory(self) -> Optional[int]:
        """Peak bytes that the device's allocator has held; None where it is not known, never 0."""
        return None

    def communication_seconds(self) -> Optional[float]:
        """Seconds a step that were spent in exchanging gradients; None where nobody tells."""
        return None


class Backend(ABC):
    """A framework in this process. Constructing it imports the framework and sets its threads."""

    @abstractmethod
    def __init__(self, threads: int) -> None:
        """Import and configure: `threads` CPU threads, in the framework's own words."""

    @abstractmethod
    def versions(self) -> dict[str, str]:
        """Version by package, of all that takes part: the framework's own first."""

    @abstractmethod
    def devices(self) -> list[Device]:
        """What the framework can train on here, the fastest kind first."""

    def join(self, hosts: Hosts) -> None:
        """Meet the same backend on the other machines, before anything else is asked of this one.

        From then on `world_size` counts the processes or devices of all of them, equally many on
        each, and every session is made, and asked to compile, train and differentiate, on all of
        them in the same order.

        Raises:
            Unsupported: this framework shares no training between machines.
        """
        raise Unsupported("a training that several machines share")

    def native_defaults(self, seed: int) -> Optional[Defaults]:
        """What the framework chooses where its user says nothing; None where it has no such choice.

        Read from the framework itself, not from a table. Weights are drawn from the seed.
        """
        return None

    def multiply(self, size: int, device: Device, precision: str) -> Optional[Work]:
        """The framework's fastest product of two (size, size) matrices, to measure the device by.

        None where there is none, or not in this precision: such a backend tells no limit.
        """
        return None

    def copy(self, size: int, device: Device) -> Optional[Work]:
        """The framework's fastest copy of `size` bytes in the device's memory; None if none."""
        return None

    def is_out_of_memory(self, error: Exception) -> bool:
        """Whether the error says that memory ran out, on the host or on the device."""
        return isinstance(error, MemoryError)

    @abstractmethod
    def session(self, workload: Workload) -> Session:
        """Lower the model, and place weights and data on the device.

        Raises:
            Unsupported: a layer, mode, device or precision that this framework lacks.
        """
