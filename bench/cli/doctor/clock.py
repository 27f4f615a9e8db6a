"""Checks that a backend's clock waits for its device, from times that a worker measured."""

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
    """Whether a backend's clock waits for its device.

    Attributes:
        ratio: time of twice the steps divided by the time of the steps; 2 if the clock waits.
        leftover: work left after a call, as a share of the call; 0 if the clock waits.
        error: why there is neither.
    """

    ratio: float | None = None
    leftover: float | None = None
    error: str = ""

    @property
    def passed(self) -> bool:
        """Whether both are within the tolerance."""
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
    """Have a worker time training calls, and check the times.

    Args:
        adapter: of the backend.
        launch: interpreter and variables of its workers.
        placing: mode and device.
        cpus: CPUs of the worker, one per thread.
        executor: runs the worker.
        seconds: duration of a single training call.
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
    times = next((event for event in events if isinstance(event, ClockChecked)), None)
    if times is None:
        reason = verdict_of(events, end, _SECONDS).reason
        return ClockVerdict(error=reason or "the worker reported no times")
    return verdict(times)


def verdict(times: ClockChecked) -> ClockVerdict:
    """Compare each double call with the mean of the single ones around it; return the median.

    Slow drift cancels in each ratio, and disturbances of single calls do in the median.
    """
    ratios = [
        2 * double / (before + after)
        for before, double, after in zip(
            times.single_seconds, times.double_seconds, times.single_seconds[1:], strict=False
        )
    ]
    leftover = times.leftover_seconds / max(median(times.single_seconds), 1e-9)
    return ClockVerdict(median(ratios), leftover)
