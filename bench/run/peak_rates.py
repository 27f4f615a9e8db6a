"""The peak rates of devices, by the frameworks' own fastest calls.

They are measured once per machine, framework version and number of threads, and cached. Rates that
were measured while the machine was disturbed are not used, and are measured again by a later
command.
"""

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from backends.api import Recipe
from backends.registry import engine_of, installed_version
from bench import cache
from bench.machine.disturbance import flags_of, train_noise
from bench.machine.hardware import hardware_digest, machine_name
from bench.records.trial import PeakShare, TrialRecord
from bench.run.certificates import backend_digest
from bench.verification.sources import digest_of
from bench.worker.protocol import Devices, Event, Rates

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


class WantedRates(NamedTuple):
    """The peak rates of a backend on a device, which are needed.

    Attributes:
        recipe: of the backend.
        version: installed version of its framework.
        device: device name.
        setting: how they are measured.
    """

    recipe: Recipe
    version: str
    device: str
    setting: PeakRateSettings

    @property
    def name(self) -> str:
        """The name of the cache entry, from all that the rates depend on.

        Backends on one engine have the same name: they call its products and copies.
        """
        engine = engine_of(self.recipe)
        version = self.version if engine is self.recipe else installed_version(engine)
        machine = machine_name(), hardware_digest()
        setting = self.setting
        parts = (machine, setting.threads, setting.cpus, engine, version, self.device)
        return cache.digest(parts, digest_of("bench.worker.peak"), backend_digest(engine))


class KnownRates:
    """The rates in the cache and those that this command has measured."""

    def __init__(self) -> None:
        self._measured: dict[str, PeakRates] = {}

    def get(self, wanted: WantedRates) -> PeakRates | None:
        """Return the rates of the backend or of its engine; None if they must be measured."""
        rates = self._measured.get(wanted.name) or _read(_path(wanted))
        if rates is None:
            return None
        return msgspec.structs.replace(
            rates, backend=wanted.recipe.name, framework_version=wanted.version
        )

    def add(self, wanted: WantedRates, rates: PeakRates) -> None:
        """Store rates that were measured without an error."""
        self._measured[wanted.name] = rates
        cache.store(_path(wanted), rates)


def measured_rates(wanted: WantedRates, events: Sequence[Event], reason: str) -> PeakRates:
    """Return the rates that a worker reported, or why there are none.

    Args:
        wanted: what it measured.
        events: of the worker.
        reason: why it ended early.
    """
    unmeasured = PeakRates(
        backend=wanted.recipe.name,
        framework_version=wanted.version,
        device=wanted.device,
        threads=wanted.setting.threads,
    )
    rates = next((event for event in events if isinstance(event, Rates)), None)
    if rates is None:
        seen = [event.devices for event in events if isinstance(event, Devices)]
        absent = any(wanted.device not in devices for devices in seen)
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


def _path(wanted: WantedRates) -> Path | None:
    """Return the path of the cache entry; None if nothing is cached."""
    folder = wanted.setting.cache
    return folder / "peak-rates" / f"{wanted.name}.json" if folder else None


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
