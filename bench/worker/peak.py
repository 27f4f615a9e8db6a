"""How fast a backend can compute and copy at all: its best matrix product and its best copy."""

from __future__ import annotations

from time import perf_counter
from typing import Callable, Optional

from backends.api import Backend, Device
from bench.worker.process import peak_memory
from bench.worker.protocol import Devices, Finished, LimitTask, Rates
from bench.worker.training import Tell, find_device
from bench.worker.usage import read_usage, usage_since

PRECISIONS = ("float32", "bfloat16")
_SIZES = (256, 512, 1024, 2048, 4096, 8192)
_LONG_ENOUGH = 0.02  # seconds of one product: starting it no longer counts
_COPIED_BYTES = 2**28  # more than any processor's caches hold
_SECONDS = 0.2  # for the repeats of one measurement
_MOST_REPEATS = 40


def measure_limits(task: LimitTask, backend: Backend, tell: Tell) -> None:
    """Measure the backend's best rates on the task's device, and name the libraries it uses."""
    tell(Devices({each.name: each.title for each in backend.devices()}))
    device = find_device(backend, task.device)
    before = read_usage()
    rates = {precision: _matrix_rate(backend, device, precision) for precision in PRECISIONS}
    copy = backend.copy(_COPIED_BYTES, device)
    copied = None if copy is None else 2 * _COPIED_BYTES / fastest(copy)  # read and written
    tell(
        Rates(
            matrix_flops_per_second={name: rate for name, rate in rates.items() if rate},
            copy_bytes_per_second=copied,
            libraries=_thread_pools(),
            usage=usage_since(before),
        )
    )
    tell(Finished(peak_memory(), None))


def _matrix_rate(backend: Backend, device: Device, precision: str) -> Optional[float]:
    """The best rate over the sizes, in operations a second: 2 n^3 for two n x n matrices."""
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
    """The least seconds that the work took, after once for warm-up.

    The least, where this project else takes medians: a limit is what nothing disturbed.
    """
    work()
    times: list[float] = []
    while not times or (sum(times) < _SECONDS and len(times) < _MOST_REPEATS):
        start = perf_counter()
        work()
        times.append(perf_counter() - start)
    return min(times)


def _thread_pools() -> Optional[tuple[str, ...]]:
    """The BLAS and OpenMP libraries that this process has loaded; None without threadpoolctl.

    Libraries that are built into the framework's own, as in TensorFlow and JAX, do not show.
    """
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return None
    return tuple(_described(pool) for pool in threadpool_info())


def _described(pool: dict[str, object]) -> str:
    words = (pool.get(key) for key in ("internal_api", "version", "architecture"))
    known = " ".join(str(word) for word in words if word)
    return f"{known}, {pool.get('num_threads')} threads"
