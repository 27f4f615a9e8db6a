"""The environment variables of a worker: a short list that is kept, and what a trial sets.

Everything else is left out, so that a stray variable of the user's shell cannot change one
framework's speed; what a worker got is written in its record.
"""

import os
from collections.abc import Mapping
from pathlib import Path

KEPT = (
    "HOME",
    "LANG",
    "LC_ALL",
    "LD_LIBRARY_PATH",
    "LOGNAME",
    "PATH",
    "PYTHONPATH",
    "TZ",
    "USER",
    "VIRTUAL_ENV",
)
# Which GPUs a process may see, and where their libraries are, is the machine's owner's choice.
KEPT_PREFIXES = ("CUDA_", "NVIDIA_", "HIP_", "ROCR_", "ROCM_")
# The words in which the libraries under the frameworks are told their number of threads.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
# The GNU C library hands large freed blocks back to the kernel, which clears them before the next
# use: up to a third of a NumPy step on a convolution network. Kept for every framework alike.
ALLOCATOR_VARIABLES = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**32)}

# Where compilers keep what they made: Triton and CUDA's driver would else use the home folder.
CACHE_VARIABLES = ("TMPDIR", "XDG_CACHE_HOME", "TRITON_CACHE_DIR", "CUDA_CACHE_PATH")

SOURCE_ROOT = Path(__file__).resolve().parent.parent


def worker_environment(own: Mapping[str, str], threads: int, scratch: Path) -> dict[str, str]:
    """The variables that a worker starts with.

    Args:
        own: what the backend's recipe sets.
        threads: the number of CPU threads.
        scratch: a folder of the trial's own, where compilers put what they cache; it goes with
            the trial, so that every compilation is a cold one.
    """
    kept = {name: value for name, value in os.environ.items() if _is_kept(name)}
    paths = [str(SOURCE_ROOT), *filter(None, [kept.get("PYTHONPATH")])]
    return {
        **kept,
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONHASHSEED": "0",
        "PYTHONUNBUFFERED": "1",
        **dict.fromkeys(CACHE_VARIABLES, str(scratch)),
        **ALLOCATOR_VARIABLES,
        **dict.fromkeys(THREAD_VARIABLES, str(threads)),
        **own,
    }


def _is_kept(name: str) -> bool:
    return name in KEPT or name.startswith(KEPT_PREFIXES)
