"""What a user requests: which jobs to compare, and how every trial of them is run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from bench.machine.environments.selector import ALL
from bench.records.manifest import AutoRepeats
from bench.run.plan import MODES_DEFAULT, Scaling, Selector
from bench.spec.job import Arm
from bench.spec.training import Optimizer

# Called with a line of text for the user, about something that takes time.
Report = Callable[[str], None]


def _some(*values: Any) -> Any:
    """The default of a list."""
    return msgspec.field(default_factory=lambda: list(values))


class Choices(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to compare, as typed: every combination is a job, nothing is looked up yet.

    Without `threads` each process has its share of the CPUs.
    """

    backends: list[str] = _some(ALL)
    models: list[str] = _some("mlp")
    widths: list[float] = _some(1.0)
    modes: list[str] = _some(MODES_DEFAULT)
    devices: list[str] = _some("auto")
    batch_sizes: list[int] = _some(64)
    arms: list[Arm] = _some("controlled")
    precisions: list[str] = _some("float32")
    inputs: list[str] = _some("resident")
    threads: list[int] = []
    world_sizes: list[int] = _some(1)
    hosts: list[int] = _some(1)
    scalings: list[Scaling] = _some("strong")


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What a command asks.

    With `auto_repeats` there are so many repeats to begin with, and more are added. A job that
    one of `excludes` fits is left out; the report compares with those that `baselines` name.
    """

    choices: list[Choices]
    excludes: list[Selector] = []
    baselines: dict[str, Selector] = {}
    title: str = ""
    optimizer: Optimizer
    epochs: int
    until_accuracy: float | None
    repeats: int
    auto_repeats: AutoRepeats | None
    seed: int
    timeout: float
    train_samples: int | None
    data_dir: Path | None
    retries: int = 0
    verify: bool = True
