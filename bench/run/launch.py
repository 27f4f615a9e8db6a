"""What a worker starts with: an interpreter, a path to this suite's code, and variables.

Only a short list of the user's variables is passed on, so that no forgotten variable in the user's
shell changes one framework's speed. A record contains all variables of its worker.
"""

import os
import re
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from backends.api import Recipe
from bench.errors import ChoiceError
from bench.spec.job import Job

KEPT = (
    # The compilers that torch.compile and Theano call.
    "CC",
    "CXX",
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
# The machine's owner chooses which GPUs a process may see, where their libraries are, and which
# network it uses to exchange data with other machines.
KEPT_PREFIXES = (
    *("CUDA_", "NVIDIA_", "HIP_", "ROCR_", "ROCM_"),
    *("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"),
)
# Variables that change a framework's speed and that workers do not take from the user's shell.
_SPEED_PREFIXES = ("XLA_", "TF_", "TORCH", "ONEDNN_", "DNNL_", "KMP_", "LD_PRELOAD")
# The variables by which the frameworks' libraries take their number of threads.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
# The GNU C library returns large freed blocks to the kernel, which clears them before the next use:
# up to a third of a NumPy step on a convolution network. These settings keep them, in all workers.
ALLOCATOR_VARIABLES = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**32)}

# Where compilers cache their results; by default Triton and CUDA's driver use the home folder.
CACHE_VARIABLES = ("TMPDIR", "XDG_CACHE_HOME", "TRITON_CACHE_DIR", "CUDA_CACHE_PATH")

_SUITE_VARIABLES = ("PYTHONHASHSEED", "PYTHONUNBUFFERED", *CACHE_VARIABLES)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

SOURCE_ROOT = Path(__file__).resolve().parents[2]
# What a worker imports of this suite. The folder that contains them can also contain the packages
# of this environment, which another interpreter must not see.
_OWN_PACKAGES = ("bench", "backends")
# Variables that determine which packages this interpreter sees.
_THIS_ENVIRONMENTS = ("PYTHONPATH", "VIRTUAL_ENV")


class Launch(NamedTuple):
    """How the workers of a backend are started.

    Attributes:
        variables: environment variables of the backend's own.
        interpreter: the Python of its environment; empty is this one.
        backend: its name, by which another machine finds its own interpreter for it.
    """

    variables: Mapping[str, str] = {}
    interpreter: str = ""
    backend: str = ""

    @property
    def python(self) -> str:
        """The interpreter's path."""
        return self.interpreter or sys.executable


def launch_of(recipe: Recipe, more: Mapping[str, str] | None = None) -> Launch:
    """Return how workers of the recipe's backend start, with `more` variables."""
    return Launch({**recipe.environment, **(more or {})}, recipe.interpreter, recipe.name)


def launch_of_job(recipe: Recipe, job: Job, more: Mapping[str, str] | None = None) -> Launch:
    """Return how the worker of a job starts, with `more` variables."""
    own = dict(each.split("=", 1) for each in job.environment)
    return launch_of(recipe, {**(more or {}), **parallel_variables(recipe, job.local_size), **own})


def job_environment(shared: Mapping[str, str], own: Sequence[str]) -> tuple[str, ...]:
    """Return the environment of a job: `NAME=value` each, in order of their names.

    Args:
        shared: variables of all jobs, by name.
        own: variables of this contender, `NAME=value` each; they replace shared ones.

    Raises:
        ChoiceError: the suite sets a variable of that name itself.
    """
    variables = {**shared, **dict(each.split("=", 1) for each in own)}
    for name in variables:
        if name in THREAD_VARIABLES:
            raise ChoiceError(f"{name} cannot be set per contender: use --threads")
        if not _NAME.fullmatch(name):
            raise ChoiceError(f"{name!r} is no name of an environment variable")
        if name in (*KEPT, *_SUITE_VARIABLES):
            raise ChoiceError(f"{name} cannot be set per contender: the suite sets it for all")
    return tuple(f"{name}={variables[name]}" for name in sorted(variables))


def parallel_variables(recipe: Recipe, local_size: int) -> dict[str, str]:
    """Return the variables of a worker whose processes or devices share each batch.

    Args:
        recipe: of the backend.
        local_size: processes or devices of this machine; 1 needs no variables.
    """
    if local_size == 1:
        return {}
    stated = recipe.parallel_environment.items()
    return {name: value.format(world_size=local_size) for name, value in stated}


def prepared_variables(launch: Launch, adapter: str, threads: int, scratch: Path) -> dict[str, str]:
    """Return the variables of a worker, with a path to the code that it imports.

    Args:
        launch: how it starts.
        adapter: `module:class` of its backend.
        threads: number of CPU threads.
        scratch: folder of the trial, see `worker_environment`. For an interpreter of another
            environment it contains links to this suite and to the adapter's package, so that the
            worker sees no other package of this environment.
    """
    variables = worker_environment(launch.variables, threads, scratch)
    if not launch.interpreter:
        return variables
    for name in _THIS_ENVIRONMENTS:
        variables.pop(name, None)
    return {**variables, "PYTHONPATH": str(_linked_code(adapter, scratch / "code"))}


def _linked_code(adapter: str, folder: Path) -> Path:
    folder.mkdir()
    package = adapter.partition(":")[0].partition(".")[0]
    for name in {*_OWN_PACKAGES, package}:
        origin = _origin(name)
        (folder / origin.name).symlink_to(origin)
    return folder


def _origin(name: str) -> Path:
    """Return the folder of a package, or the file of a module.

    Raises:
        ModuleNotFoundError: there is none.
    """
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"no package {name!r} with source files")
    origin = Path(spec.origin)
    return origin.parent if spec.submodule_search_locations else origin


def worker_environment(own: Mapping[str, str], threads: int, scratch: Path) -> dict[str, str]:
    """Return the variables of a worker of this interpreter.

    Args:
        own: variables of the backend's recipe.
        threads: number of CPU threads.
        scratch: folder of the trial, for the caches of compilers. It is removed after the trial, so
            every compilation is cold.
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


def notes_on_variables(shell: Mapping[str, str]) -> list[str]:
    """Return a note that names the shell's variables that change speed and do not reach workers.

    Args:
        shell: the variables of this process.
    """
    names = sorted(
        name for name in shell if name.startswith(_SPEED_PREFIXES) and not _is_kept(name)
    )
    if not names:
        return []
    example = f"--backends 'NAME[{names[0]}=...]'"
    return [
        f"workers do not get {', '.join(names)} from your shell; to compare with a variable set, "
        f"name it with the backend: {example}"
    ]
