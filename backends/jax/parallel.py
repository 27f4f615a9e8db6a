"""The devices of a session: one, or several that share each batch.

Several devices belong to this process, or to the processes of several machines, and form one mesh.
Weights, optimizer state and data are on every device; the images of a step are split. The step is
one program over the whole batch: XLA's partitioner gives each device its part and inserts the
exchange of sums over the batch, for gradients and batch normalisation.
"""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from backends.jax.steps import (
    Data,
    Differentiate,
    Fetch,
    JitLoop,
    Plan,
    Program,
    State,
    Step,
)
from backends.jax.weights import place


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

    def shared_step(self, step: Step) -> Step:
        """Make a step leave its state on every device, where the next step expects it."""
        if self.number == 1:
            return step

        def step_everywhere(state: State, plan: Plan, data: Data) -> tuple[State, Any]:
            ended: tuple[State, Any] = lax.with_sharding_constraint(
                step(state, plan, data), self._everywhere
            )
            return ended

        return step_everywhere

    def gathered(self, differentiate: Differentiate) -> Differentiate:
        """Make a function return all its results on every device."""
        if self.number == 1:
            return differentiate

        def differentiate_everywhere(state: State, batch: Any, data: Data) -> Any:
            found = differentiate(state, batch, data)
            return lax.with_sharding_constraint(found, self._everywhere)

        return differentiate_everywhere


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
