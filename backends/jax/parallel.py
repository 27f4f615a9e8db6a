"""The devices of a session: one, or several that share each batch.

Several devices belong to this process, or to the processes of several machines, and form one mesh.
Weights, optimizer state and data are on every device; the images of a step are split. The step is
one program over the whole batch: XLA's partitioner gives each device its part and inserts the
exchange of sums over the batch, for gradients and batch normalisation.
"""

from __future__ import annotations

from typing import Any, Callable, TypeVar, cast

import jax
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from backends.jax.steps import Data, Fetch, JitLoop, Plan, Program, State
from backends.jax.weights import place

Function = TypeVar("Function", bound=Callable[..., Any])


class Places:
    """The devices of a session, and the placement of arrays on them."""

    def __init__(self, devices: list[Any]) -> None:
        """Form a mesh of at least one device, including one of this process."""
        own = jax.process_index()
        self.first = next(device for device in devices if device.process_index == own)
        self.number = len(devices)
        mesh = Mesh(np.array(devices), ("batch",))
        self._everywhere = NamedSharding(mesh, PartitionSpec())
        self._parts = NamedSharding(mesh, PartitionSpec("batch"))

    @property
    def are_parts_of_the_cpu(self) -> bool:
        """Whether there are several devices, and they are parts of the CPU."""
        return self.number > 1 and self.first.platform == "cpu"

    def place(self, values: Any) -> Any:
        """Copy values to every device."""
        return place(values, self.first if self.number == 1 else self._everywhere)

    def shared_fetch(self, fetch: Fetch) -> Fetch:
        """Make `fetch` give each device its part of a batch."""
        if self.number == 1:
            return fetch

        def fetch_part(batch: Any, data: Data) -> tuple[Any, Any]:
            examples = fetch(lax.with_sharding_constraint(batch, self._parts), data)
            images, labels = lax.with_sharding_constraint(examples, self._parts)
            return images, labels

        return fetch_part

    def everywhere(self, function: Function) -> Function:
        """Make a function return all its results, such as a state, on every device."""
        if self.number == 1:
            return function

        def function_everywhere(*arguments: Any) -> Any:
            return lax.with_sharding_constraint(function(*arguments), self._everywhere)

        return cast(Function, function_everywhere)


class WaitingLoop(JitLoop):
    """One compiled step per call that waits for its end, for devices that are parts of the CPU.

    Such a device blocks a thread in an exchange until the other devices reach it. With many steps
    in flight no thread is left for the others, and XLA fails after a minute. A loop within XLA is
    one program and does not need this.
    """

    def compile(self, state: State, plan: Plan, data: Data) -> Program:
        """See `JitLoop.compile`."""
        program = super().compile(state, plan, data)

        def run_and_wait(*arguments: Any) -> tuple[Any, Any]:
            ended: tuple[Any, Any] = jax.block_until_ready(program(*arguments))
            return ended

        return run_and_wait
