"""Where a session's arrays lie: on one device, or on several that share each batch.

The several are of this process, or of the processes of several machines, all in one mesh.

Weights, the optimizer's state and the data lie on every device, the images of a step by parts. The
step stays one program over the whole batch: XLA's partitioner gives each device its part and puts
in the exchange of what is summed over the batch, the gradients and the statistics of a batch
normalisation.
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
    """The devices of a session."""

    def __init__(self, devices: list[Any]) -> None:
        """See the class; at least one device, this process's first one among them."""
        own = jax.process_index()
        self.first = next(device for device in devices if device.process_index == own)
        self.number = len(devices)
        mesh = Mesh(np.array(devices), ("batch",))
        self._everywhere = NamedSharding(mesh, PartitionSpec())
        self._parts = NamedSharding(mesh, PartitionSpec("batch"))

    @property
    def are_parts_of_the_cpu(self) -> bool:
        """Whether they are several, and no accelerators."""
        return self.number > 1 and self.first.platform == "cpu"

    def place(self, values: Any) -> Any:
        """A copy on every device."""
        return place(values, self.first if self.number == 1 else self._everywhere)

    def shared_fetch(self, fetch: Fetch) -> Fetch:
        """What gives each device its part of a batch's images and labels."""
        if self.number == 1:
            return fetch

        def fetch_part(batch: Any, data: Data) -> tuple[Any, Any]:
            examples = fetch(lax.with_sharding_constraint(batch, self._parts), data)
            images, labels = lax.with_sharding_constraint(examples, self._parts)
            return images, labels

        return fetch_part

    def shared_step(self, step: Step) -> Step:
        """The step that leaves its state on every device, as the next step takes it."""
        if self.number == 1:
            return step

        def step_everywhere(state: State, plan: Plan, data: Data) -> tuple[State, Any]:
            ended: tuple[State, Any] = lax.with_sharding_constraint(
                step(state, plan, data), self._everywhere
            )
            return ended

        return step_everywhere

    def gathered(self, differentiate: Differentiate) -> Differentiate:
        """The function with all that it returns on every device, the logits too."""
        if self.number == 1:
            return differentiate

        def differentiate_everywhere(state: State, batch: Any, data: Data) -> Any:
            found = differentiate(state, batch, data)
            return lax.with_sharding_constraint(found, self._everywhere)

        return differentiate_everywhere


class WaitingLoop(JitLoop):
    """One compiled step a call, each waited for, on devices that are parts of the CPU.

    There an exchange holds a thread until the other devices reach it. With many steps under way
    no thread is left for them, and XLA gives up after a minute; a loop within XLA is one program.
    """

    def compile(self, state: State, plan: Plan, data: Data) -> Program:
        """See `JitLoop.compile`."""
        program = super().compile(state, plan, data)

        def run_and_wait(*arguments: Any) -> tuple[Any, Any]:
            ended: tuple[Any, Any] = jax.block_until_ready(program(*arguments))
            return ended

        return run_and_wait
