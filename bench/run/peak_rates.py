"""Measures the peak rates of devices with the backends' own fastest calls.

This happens once per machine, framework version and number of threads, in a worker of each backend;
the rates are cached. Rates that were measured while the machine was disturbed are not used, and are
measured again by a later command.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from backends.api import Recipe
from bench import cache
from bench.machine.disturbance import flags_of, train_noise
from bench.machine.hardware import hardware_digest, machine_name
from bench.records.trial import PeakShare, TrialRecord
from bench.run.certificates import backend_digest
from bench.run.executor import Executor
from bench.run.launch import launch_of
from bench.run.outcome import verdict_of
from bench.verification.sources import digest_of
from bench.worker.protocol import Devices, Event, PeakRateTask, Rates

# Matrix products are timed in these precisions; trials in others have no peak rate.
_COMPARED = ("float32", "bfloat16")
MEASURE_SECONDS = 180.0  # a cold disk can take a minute to import a framework
_DISTURBED_VALID_SECONDS = 3600.0


class PeakRates(msgspec.Struct, frozen=True, kw_only=True):
    """A backend's peak rates on a device, or why there are none.

    Attributes:
        backend: name of the backend.
        framework_version: installed version.
        device: device name, as in a job.
        threads: CPU threads of the worker.
        matrix_flops_per_second: FLOP/s of its fastest matrix product, by precision.
        copy_bytes_per_second: of its fastest copy, read plus written; None if it has none.
        libraries: BLAS and OpenMP libraries in its process; None if they cannot be listed.
        flags: what disturbed the measurement, as for a trial.
        error: why there are no rates.
        absent: whether the reason is that the framework does not see the device.
    """

    backend: str
    framework_version: str | None
    device: str
    threads: int
    matrix_flops_per_second: dict[str, float] = {}
    copy_bytes_per_second: float | None = None
    libraries: tuple[str, ...] | None = None
    flags: tuple[str, ...] = ()
    error: str = ""
    absent: bool = False


class PeakRateSettings(msgspec.Struct, frozen=True):
    """How the peak rates of a command are measured.

    Attributes:
        threads: CPU threads per worker.
        cpus: CPUs that each worker is bound to.
        cache: cache folder; None neither reads nor stores any.
        timeout: seconds after which a worker is killed.
    """

    threads: int
    cpus: tuple[int, ...]
    cache: Path | None
    timeout: float = MEASURE_SECONDS


def peak_rates(
    wanted: Sequence[tuple[Recipe, str, str]],
    setting: PeakRateSettings,
    executor: Executor,
    began: Callable[[str, str], None],
) -> Iterator[PeakRates]:
    """Yield the peak rates of each backend, from the cache or measured now.

    Args:
        wanted: recipe, installed version and device of each.
        setting: how they are measured.
        executor: runs the workers.
        began: called with the backend and the device before a measurement.
    """
    for recipe, version, device in wanted:
        path = _path(recipe, version, device, setting)
        rates = _read(path)
        if rates is None:
            began(recipe.name, device)
            rates = _measure(recipe, version, device, setting, executor)
            if not rates.error:
                cache.store(path, rates)
        yield rates


def _measure(
    recipe: Recipe, version: str, device: str, setting: PeakRateSettings, executor: Executor
) -> PeakRates:
    events: list[Event] = []
    task = PeakRateTask(
        adapter=recipe.adapter, threads=setting.threads, cpus=setting.cpus, device=device
    )
    end = executor.run(task, launch_of(recipe), setting.timeout, events.append)
    unmeasured = PeakRates(
        backend=recipe.name,
        framework_version=version,
        device=device,
        threads=setting.threads,
    )
    rates = next((event for event in events if isinstance(event, Rates)), None)
    if rates is None:
        reason = verdict_of(events, end, setting.timeout).reason
        seen = [event.devices for event in events if isinstance(event, Devices)]
        absent = any(device not in devices for devices in seen)
        reason = reason or "the worker reported no rates"
        return msgspec.structs.replace(unmeasured, error=reason, absent=absent)
    return msgspec.structs.replace(
        unmeasured,
        matrix_flops_per_second=rates.matrix_flops_per_second,
        copy_bytes_per_second=rates.copy_bytes_per_second,
        libraries=rates.libraries,
        flags=flags_of(train_noise(rates.usage), rates.usage.wall_seconds),
    )


def peak_share(
    record: TrialRecord, flops_per_image: int | None, known: Sequence[PeakRates]
) -> PeakShare | None:
    """Compare the trial's throughput with the peak rate of its devices.

    A CPU's peak is measured with all threads of the trial on one machine and multiplied by the
    number of machines. A GPU's peak is multiplied by the number of GPUs.

    The peak of a bfloat16 trial is the higher of bfloat16 and float32, because hardware without
    fast bfloat16 products computes them in float32.

    Args:
        record: of the trial.
        flops_per_image: of a training step; None where the model's are not known.
        known: the peak rates of all backends.

    Returns:
        None if the trial has no throughput. Without a peak rate only what was achieved.
    """
    throughput = record.throughput_images_per_second
    if throughput is None or flops_per_image is None:
        return None
    achieved = throughput * flops_per_image
    precisions = ("float32", record.job.precision) if record.job.precision in _COMPARED else ()
    on_cpu = record.job.device == "cpu"
    devices = record.job.hosts if on_cpu else record.job.world_size
    peaks = {
        rates.backend: devices
        * max(rates.matrix_flops_per_second.get(name, 0.0) for name in precisions)
        for rates in known
        if precisions and rates.device == record.job.device and not rates.flags
        if not on_cpu or rates.threads == record.threads * record.job.local_size
    }
    best = max(peaks, key=lambda name: peaks[name], default=None)
    peak = peaks[best] if best else None
    return PeakShare(
        flops_per_image=flops_per_image,
        achieved_flops_per_second=achieved,
        peak_flops_per_second=peak or None,
        peak_backend=best if peak else None,
        own_peak_flops_per_second=peaks.get(record.job.backend) or None,
        share_of_peak=achieved / peak if peak else None,
    )


def _path(recipe: Recipe, version: str, device: str, setting: PeakRateSettings) -> Path | None:
    """Return the path of the cache entry, named by all that the rates depend on."""
    if setting.cache is None:
        return None
    machine = machine_name(), hardware_digest()
    parts = (machine, setting.threads, setting.cpus, recipe, version, device)
    sources = digest_of("bench.worker.peak"), backend_digest(recipe)
    return setting.cache / "peak-rates" / f"{cache.digest(parts, sources)}.json"


def _read(path: Path | None) -> PeakRates | None:
    """Return the cached rates; None if there are none, or disturbed ones that are outdated."""
    rates = cache.load(path, PeakRates)
    is_outdated = rates is not None and rates.flags and _age(path) > _DISTURBED_VALID_SECONDS
    return None if is_outdated else rates


def _age(path: Path | None) -> float:
    """Compute the age of a cache entry in seconds; infinite if it has been removed."""
    try:
        return time.time() - path.stat().st_mtime if path else math.inf
    except OSError:
        return math.inf
