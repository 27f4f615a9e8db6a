"""The metrics, each defined once: columns, rankings, axes and the glossary read this table."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from bench.errors import ChoiceError, check_known
from reports.display import Number, fixed, shown, significant

MEBIBYTE = 2.0**20

Direction = Literal["higher", "lower"]
Derive = Callable[[pd.DataFrame], "pd.Series[float]"]  # from the trials, one row each


@dataclass(frozen=True)
class Metric:
    """A quantity of a trial.

    Attributes:
        key: name in tables; also the column of the trials unless `derive` is given.
        title: name in headings and on axes.
        unit: unit of what `write` prints; empty for a bare number.
        direction: which values are better; None if neither is a contender's merit.
        meaning: one sentence for the glossary.
        write: formats a value that is given in base units.
        derive: computes the metric from the columns of the trials.
    """

    key: str
    title: str
    unit: str
    direction: Direction | None
    meaning: str
    write: Number
    derive: Derive | None = None

    @property
    def heading(self) -> str:
        """Title and unit."""
        return f"{self.title}, {self.unit}" if self.unit else self.title

    def of(self, trials: pd.DataFrame) -> "pd.Series[float]":
        """Return each trial's value in base units; missing where it is unknown."""
        return trials[self.key] if self.derive is None else self.derive(trials)

    def show(self, value: float | None) -> str:
        """Format the value without its unit; a dash where it is unknown."""
        return shown(value, self.write)

    def quote(self, value: float | None) -> str:
        """Format the value with its unit, for a sentence."""
        return f"{self.show(value)} {self.unit}".rstrip()


def _memory_above_baseline(trials: pd.DataFrame) -> "pd.Series[float]":
    return trials["peak_memory_bytes"] - trials["baseline_memory_bytes"]


def _first_step_seconds(trials: pd.DataFrame) -> "pd.Series[float]":
    phases = ("import_seconds", "data_seconds", "build_seconds", "compile_seconds")
    return sum((trials[phase] for phase in phases[1:]), trials[phases[0]])


def _time_to_accuracy(trials: pd.DataFrame) -> "pd.Series[float]":
    """Return infinity where the accuracy was missed, so that a median counts it as slowest."""
    missed = trials["time_to_accuracy_reached"].eq(False).fillna(False).astype(bool)
    return trials["time_to_accuracy_seconds"].mask(missed, math.inf)


def _column(name: str) -> Derive:
    return lambda trials: trials[name]


def _of_all_epochs(name: str) -> Derive:
    """Return the column, unknown in trials in rounds that left epochs out, as the accuracy is."""

    def derive(trials: pd.DataFrame) -> "pd.Series[float]":
        is_partial = trials["rounds_began_at"].notna() & trials["test_accuracy"].isna()
        return trials[name].mask(is_partial)

    return derive


def _latency(percentile: int) -> Metric:
    key = f"latency_p{percentile}_seconds"
    return Metric(
        key,
        f"Latency p{percentile}",
        "ms",
        "lower",
        f"Time that {percentile} % of the predictions of one image did not exceed, each from the "
        "image on the host to its logits there, one call after the other.",
        significant(3, 1e3),
        _column(f"inference_{key}"),
    )


def _seconds(
    phase: str, direction: Direction | None, meaning: str, derive: Derive | None = None
) -> Metric:
    key = f"{phase}_seconds"
    return Metric(key, phase.capitalize(), "s", direction, meaning, fixed(2), derive)


def _memory(
    key: str,
    title: str,
    meaning: str,
    derive: Derive | None = None,
) -> Metric:
    return Metric(key, title, "MiB", "lower", meaning, fixed(0, 1 / MEBIBYTE), derive)


THROUGHPUT = Metric(
    "throughput_images_per_second",
    "Throughput",
    "images/s",
    "higher",
    "Images divided by the time of the steps that trained them: the median over the epochs, the "
    "first left out when there are several, or over the slices of a trial in rounds.",
    significant(4),
)
ACCURACY = Metric(
    "test_accuracy",
    "Test accuracy",
    "%",
    "higher",
    "Share of the test images that are classified right after the last epoch.",
    fixed(2, 100),
)
LOSS = Metric(
    "final_train_loss",
    "Final loss",
    "",
    "lower",
    "Mean cross-entropy of the training steps of the last epoch, each taken before its update.",
    fixed(4),
)
PEAK_MEMORY = _memory(
    "peak_memory_bytes",
    "Peak memory",
    "Most memory that the worker's process ever held, by the kernel's own high-water mark.",
)
BASELINE_MEMORY = _memory(
    "baseline_memory_bytes",
    "After import",
    "Memory that the process held once the framework was imported, before any data or model.",
)
MEMORY_ABOVE_BASELINE = _memory(
    "memory_above_baseline_bytes",
    "Above import",
    "Peak memory less the memory after import: what the work itself added.",
    _memory_above_baseline,
)
DEVICE_MEMORY = Metric(
    "device_peak_memory_bytes",
    "Device peak",
    "MiB",
    "lower",
    "Most memory that the framework's allocator held on the device; not known on most CPUs.",
    significant(3, 1 / MEBIBYTE),
)
IMPORT = _seconds(
    "import",
    "lower",
    "From the start of the process until the framework is imported and its threads are set.",
)
DATA = _seconds(
    "data",
    None,
    "Opening the data set and scaling its images, in the same code for every contender.",
)
BUILD = _seconds("build", "lower", "Lowering the model and placing weights and data on the device.")
COMPILE = _seconds(
    "compile",
    "lower",
    "Tracing and compiling the first step and the first prediction, with all caches cold.",
)
TRAIN = _seconds(
    "train",
    "lower",
    "All training steps of all epochs, from the first step until the device is idle.",
    _of_all_epochs("train_seconds"),
)
EVALUATE = _seconds(
    "evaluate",
    "lower",
    "Classifying the test images after every epoch, off the training clock.",
    _of_all_epochs("evaluate_seconds"),
)
FIRST_STEP = Metric(
    "first_step_seconds",
    "To first step",
    "s",
    "lower",
    "Import, data, build and compile together: the wait until training starts.",
    fixed(2),
    _first_step_seconds,
)

COLD_START = Metric(
    "cold_start_seconds",
    "Cold start",
    "s",
    "lower",
    "From the start of the worker's process to the end of its first training step.",
    fixed(2),
)
TIME_TO_ACCURACY = Metric(
    "time_to_accuracy_seconds",
    "Time to accuracy",
    "s",
    "lower",
    "Training time up to the first epoch after which the test accuracy was at the requested one; "
    "a trial that did not reach it counts as slower than all that did.",
    fixed(2),
    _time_to_accuracy,
)
LATENCIES = tuple(_latency(percentile) for percentile in (50, 95, 99))
PREDICTION = Metric(
    "inference_images_per_second",
    "Prediction",
    "images/s",
    "higher",
    "Images predicted in large batches, from the host to logits on the host, divided by the time.",
    significant(4),
    _column("inference_throughput_images_per_second"),
)
PEAK_SHARE = Metric(
    "share_of_peak",
    "Share of peak",
    "%",
    None,
    "Operations of a training step by the spec, times the throughput, as a share of the best "
    "matrix rate of the device.",
    fixed(1, 100),
    _column("limit_share_of_peak"),
)

# The columns of a ranking's table; one without any value is left out.
RANKED = (
    THROUGHPUT,
    ACCURACY,
    LOSS,
    PEAK_MEMORY,
    DEVICE_MEMORY,
    COMPILE,
    COLD_START,
    LATENCIES[0],
    PEAK_SHARE,
)
PHASES = (IMPORT, DATA, BUILD, COMPILE, TRAIN, EVALUATE)
METRICS = (
    THROUGHPUT,
    ACCURACY,
    LOSS,
    PEAK_MEMORY,
    BASELINE_MEMORY,
    MEMORY_ABOVE_BASELINE,
    DEVICE_MEMORY,
    *PHASES,
    FIRST_STEP,
    COLD_START,
    TIME_TO_ACCURACY,
    *LATENCIES,
    PREDICTION,
    PEAK_SHARE,
)
METRIC_KEYS = [metric.key for metric in METRICS]


def metric_named(name: str) -> Metric:
    """Return the metric with that key, or else the first one whose key contains those words.

    Raises:
        ChoiceError: there is none.
    """
    for metric in METRICS:
        if metric.key == name:
            return metric
    for metric in METRICS:
        if name and f"_{name}_" in f"_{metric.key}_":
            return metric
    check_known([name], [metric.key for metric in METRICS], "metric")
    raise AssertionError("an empty name is not known")


def directed_metric(name: str) -> Metric:
    """Return the metric with that name, which must have a better direction.

    Raises:
        ChoiceError: there is none, or it has no better direction.
    """
    metric = metric_named(name)
    if metric.direction is None:
        raise ChoiceError(
            f"received {metric.key}, expected a metric of which more or less is better"
        )
    return metric
