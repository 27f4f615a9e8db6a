"""Measure the peak rates of a backend: its fastest matrix product and its fastest copy."""

from __future__ import annotations

from time import perf_counter
from typing import Callable, Optional

from backends.api import Backend, Device
from bench.worker.protocol import Rates
from bench.worker.usage import read_usage, usage_since

PRECISIONS = ("float32", "bfloat16")
_SIZES = (256, 512, 1024, 2048, 4096, 8192)
_LONG_ENOUGH = 0.02  # seconds of one product, next to which the cost of a call is negligible
_COPIED_BYTES = 2**28  # larger than the caches of any processor
_SECONDS = 0.2  # time for the repeats of one measurement
_MAX_REPEATS = 40


def measure_peak_rates(backend: Backend, device: Device) -> Rates:
    """Measure the backend's peak rates on the device."""
    before = read_usage()
    rates = {precision: _matrix_rate(backend, device, precision) for precision in PRECISIONS}
    copy = backend.copy(_COPIED_BYTES, device)
    # Each copied byte is read and written.
    copy_rate = None if copy is None else 2 * _COPIED_BYTES / fastest(copy)
    return Rates(
        matrix_flops_per_second={name: rate for name, rate in rates.items() if rate},
        copy_bytes_per_second=copy_rate,
        libraries=_thread_pools(),
        usage=usage_since(before),
    )


def _matrix_rate(backend: Backend, device: Device, precision: str) -> Optional[float]:
    """Measure the highest rate over the sizes, in FLOP/s; None if the precision is unsupported.

    The product of two n x n matrices takes 2 n^3 operations.
    """
    best: Optional[float] = None
    for size in _SIZES:
        multiply = backend.multiply(size, device, precision)
        if multiply is None:
            return None
        seconds = fastest(multiply)
        best = max(best or 0.0, 2 * size**3 / seconds)
        if seconds > _LONG_ENOUGH:
            break
    return best


def fastest(work: Callable[[], object]) -> float:
    """Repeat the work, and return the seconds of the fastest repeat, after a warm-up.

    A peak rate is that of an undisturbed device, so this is the minimum, whereas other measurements
    use the median.
    """
    work()
    times: list[float] = []
    while not times or (sum(times) < _SECONDS and len(times) < _MAX_REPEATS):
        start = perf_counter()
        work()
        times.append(perf_counter() - start)
    return min(times)


def _thread_pools() -> Optional[tuple[str, ...]]:
    """List the BLAS and OpenMP libraries of this process; None if threadpoolctl is not installed.

    It does not find libraries that are linked into the framework, as in TensorFlow and JAX.
    """
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return None
    return tuple(_describe(pool) for pool in threadpool_info())


def _describe(pool: dict[str, object]) -> str:
    """Return a library's name, version and number of threads in one line."""
    words = (pool.get(key) for key in ("internal_api", "version", "architecture"))
    known = " ".join(str(word) for word in words if word)
    return f"{known}, {pool.get('num_threads')} threads"
