"""What a device can do at most, by the backends' own best calls, and how near a trial came to it.

Measured once for a machine, a framework's version and a number of threads, in a worker of each
backend, and kept in the user's cache. What was measured while the machine was disturbed is not
compared with, and is measured again by a later command.
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
from bench.worker.protocol import Devices, Event, LimitTask, Rates

# Matrix products are timed in these, and a trial is compared in these alone.
_COMPARED = ("float32", "bfloat16")
MEASURE_SECONDS = 180.0  # a cold disk can take a minute to import a framework
_DISTURBED_HOLDS_SECONDS = 3600.0


class BackendLimit(msgspec.Struct, frozen=True, kw_only=True):
    """A backend's best rates on a device, or why there are none.

    Attributes:
        backend: its name.
        framework_version: as installed.
        device: as in a job.
        threads: CPU threads that it had.
        matrix_flops_per_second: of its best matrix product, by precision.
        copy_bytes_per_second: of its best copy, read and written; None where it has none.
        libraries: BLAS and OpenMP libraries that show in its process; None if nobody can tell.
        flags: what disturbed the measurement, as for a trial.
        error: why there are no rates.
        absent: whether that is since the framework does not see the device.
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


class Setting(msgspec.Struct, frozen=True):
    """What the limits of a command have in common.

    Attributes:
        threads: CPU threads of each worker.
        cpus: the CPUs that each worker is bound to.
        cache: the folder of kept limits; None keeps and uses none.
        timeout: seconds after which a worker is killed.
    """

    threads: int
    cpus: tuple[int, ...]
    cache: Path | None
    timeout: float = MEASURE_SECONDS


def backend_limits(
    wanted: Sequence[tuple[Recipe, str, str]],
    setting: Setting,
    executor: Executor,
    began: Callable[[str, str], None],
) -> Iterator[BackendLimit]:
    """The limit of each backend, kept or measured now.

    Args:
        wanted: recipe, installed version and device of each.
        setting: what all have in common.
        executor: runs the workers.
        began: called with the backend and the device of each that must be measured.
    """
    for recipe, version, device in wanted:
        path = _path(recipe, version, device, setting)
        kept = _read(path)
        if kept is None:
            began(recipe.name, device)
            kept = _measure(recipe, version, device, setting, executor)
            if not kept.error:
                cache.store(path, kept)
        yield kept


def _measure(
    recipe: Recipe, version: str, device: str, setting: Setting, executor: Executor
) -> BackendLimit:
    events: list[Event] = []
    task = LimitTask(
        adapter=recipe.adapter, threads=setting.threads, cpus=setting.cpus, device=device
    )
    end = executor.run(task, launch_of(recipe), setting.timeout, events.append)
    limit = BackendLimit(
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
        return msgspec.structs.replace(limit, error=reason or "it told no rates", absent=absent)
    return msgspec.structs.replace(
        limit,
        matrix_flops_per_second=rates.matrix_flops_per_second,
        copy_bytes_per_second=rates.copy_bytes_per_second,
        libraries=rates.libraries,
        flags=flags_of(train_noise(rates.usage), rates.usage.wall_seconds),
    )


def limit_of(
    record: TrialRecord, flops_per_image: int | None, known: Sequence[BackendLimit]
) -> PeakShare | None:
    """How near the trial came to the limit of its devices; None where it has no throughput.

    That of a CPU was measured with as many threads as all of the trial's processes of a machine
    have and counts once a machine, that of other devices counts as often as the trial has them.

    float32 can stand for bfloat16 where that has no faster product, so the peak of a bfloat16
    trial is the better of both. In other precisions no peak is known.
    """
    throughput = record.throughput_images_per_second
    if throughput is None or flops_per_image is None:
        return None
    achieved = throughput * flops_per_image
    precisions = ("float32", record.job.precision) if record.job.precision in _COMPARED else ()
    on_cpu = record.job.device == "cpu"
    devices = record.job.hosts if on_cpu else record.job.world_size
    peaks = {
        limit.backend: devices
        * max(limit.matrix_flops_per_second.get(name, 0.0) for name in precisions)
        for limit in known
        if precisions and limit.device == record.job.device and not limit.flags
        if not on_cpu or limit.threads == record.threads * record.job.world_size // record.job.hosts
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


def _path(recipe: Recipe, version: str, device: str, setting: Setting) -> Path | None:
    """Where the limit is kept: by all that could change it; None where none is."""
    if setting.cache is None:
        return None
    machine = machine_name(), hardware_digest()
    parts = (machine, setting.threads, setting.cpus, recipe, version, device)
    sources = digest_of("bench.worker.peak"), backend_digest(recipe)
    return setting.cache / "limits" / f"{cache.digest(parts, sources)}.json"


def _read(path: Path | None) -> BackendLimit | None:
    """The kept limit; None where there is none, and after a while for a disturbed one."""
    kept = cache.load(path, BackendLimit)
    is_outdated = kept is not None and kept.flags and _age(path) > _DISTURBED_HOLDS_SECONDS
    return None if is_outdated else kept


def _age(path: Path | None) -> float:
    """Compute the age of a cache entry in seconds; infinite if it has been removed."""
    try:
        return time.time() - path.stat().st_mtime if path else math.inf
    except OSError:
        return math.inf
