"""The backend: JAX, whose training calls end 5 % later."""

from __future__ import annotations

from time import perf_counter

from backends.api import Session, Workload
from backends.jax.backend import JaxBackend
from bench.spec.weights import FloatArray, IntArray
from evenbench_slowed import RECIPE

SLOWDOWN = 0.05


class SlowedBackend(JaxBackend):
    """JAX, slowed."""

    recipe = RECIPE

    def _session(self, workload: Workload) -> Session:
        session = super()._session(workload)
        usual = session.train

        def train(batches: IntArray, learning_rates: FloatArray) -> FloatArray:
            start = perf_counter()
            losses = usual(batches, learning_rates)
            now = perf_counter()
            until = now + SLOWDOWN * (now - start)
            while perf_counter() < until:
                pass
            return losses

        session.train = train  # type: ignore[method-assign]
        return session
