"""Whether a backend's clock waits for its device, from the times that a worker told."""

from statistics import median
from typing import NamedTuple

from bench.run.executor import Executor
from bench.run.launch import Launch
from bench.run.outcome import verdict_of
from bench.spec.models import build
from bench.worker.protocol import ClockChecked, ClockTask, Event

MODEL = "mlp"
INPUT_SHAPE = (28, 28, 1)
BATCH_SIZE = 64
TOLERANCE = 0.1
_SECONDS = 300.0


class ClockVerdict(NamedTuple):
    """What a backend's clock did.

    Attributes:
        ratio: time of twice the steps over that of the steps; 2 where the clock waits.
        leftover: work left after a call, as a share of it; 0 where the clock waits.
        error: why there is neither.
    """

    ratio: float | None = None
    leftover: float | None = None
    error: str = ""

    @property
    def passed(self) -> bool:
        """Whether both are as they must be."""
        if self.ratio is None or self.leftover is None:
            return False
        return abs(self.ratio / 2 - 1) <= TOLERANCE and self.leftover <= TOLERANCE


def check_clock(
    adapter: str,
    launch: Launch,
    placing: tuple[str, str],
    cpus: tuple[int, ...],
    executor: Executor,
    seconds: float = 0.25,
) -> ClockVerdict:
    """Have a worker time training calls.

    Args:
        adapter: of the backend.
        launch: the interpreter and the variables of its workers.
        placing: mode and device.
        cpus: as many as there are threads.
        executor: runs the worker.
        seconds: of a single training call.
    """
    mode, device = placing
    task = ClockTask(
        adapter=adapter,
        threads=len(cpus),
        cpus=cpus,
        model=build(MODEL),
        input_shape=INPUT_SHAPE,
        batch_size=BATCH_SIZE,
        device=device,
        mode=mode,
        seconds=seconds,
    )
    events: list[Event] = []
    end = executor.run(task, launch, _SECONDS, events.append)
    told = next((event for event in events if isinstance(event, ClockChecked)), None)
    if told is None:
        return ClockVerdict(error=verdict_of(events, end, _SECONDS).reason or "it told no times")
    return verdict(told)


def verdict(told: ClockChecked) -> ClockVerdict:
    """Each double call against the mean of the single ones before and after it, then the median.

    What drifts slowly cancels in each ratio, and what disturbs a few calls in the median.
    """
    ratios = [
        2 * double / (before + after)
        for before, double, after in zip(
            told.single_seconds, told.double_seconds, told.single_seconds[1:], strict=False
        )
    ]
    leftover = told.leftover_seconds / max(median(told.single_seconds), 1e-9)
    return ClockVerdict(median(ratios), leftover)
