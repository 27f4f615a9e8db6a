"""The options of a request on the command line: their help, by panel, and how click fills them.

Types, limits and defaults are those of `bench.run.request`.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import rich_click as click
from click import get_current_context
from click.core import ParameterSource

from bench.cli.values import OptionValue
from bench.run.decode import flag
from bench.run.request import MatrixOptions, Request, RunOptions, request_of

_Command = TypeVar("_Command", bound=Callable[..., Any])

HELP = {
    "What to compare": {
        "backends": "Backends to compare: `all` that are installed or have an environment, or "
        "names from `bench list backends`. `jax==0.9.*` runs in its own environment, "
        "`jax@/path/to/python` in yours, `jax[NAME=value]` with an environment variable.",
        "models": "Models to train: names from `bench list models`, `all` that fit the images, or "
        "a function of yours that returns a layer, path/to/file.py:function. The file is executed.",
        "widths": "Factors of the units and filters of every layer but the last: 0.5,1,2.",
        "modes": "Execution modes: `default`, `all`, or names. Each backend runs in those of its "
        "modes that are named.",
        "devices": "`auto` (the GPU if a backend sees one, else the CPU), `all`, cpu, gpu, gpu:1, "
        "mps.",
        "precisions": "float32, bfloat16, float16, tf32, float64. In bfloat16 and float16 the "
        "weights stay float32. float16 and tf32 need a GPU.",
        "input": "`resident` (the training data is on the device), `pipeline` (each framework's "
        "own data loader copies the batches), or both.",
        "batch_sizes": "Images per step: 64,256.",
        "threads": "CPU threads of each process: 1,2. Default: the CPUs that this process may "
        "use, divided by --world-size.",
        "world_size": "Data-parallel training: number of processes or devices that share each "
        "batch: 1,2,4.",
        "scaling": "`strong` (--batch-sizes are those of all processes together), `weak` (of each "
        "process), or both.",
        "arm": "Who chooses what a user usually leaves unspecified (initial weights, batch "
        "normalisation's momentum and epsilon, Adam's epsilon): `controlled` (the spec, equal for "
        "all) or `native` (each framework's defaults). Repeat the option for both.",
    },
    "Training": {
        "epochs": "Epochs of each trial.",
        "until_accuracy": "End a trial after the epoch that reaches this test accuracy, a share "
        "like 0.98, or after --epochs. The report then shows the time to that accuracy.",
        "optimizer": "sgd or adam.",
        "learning_rate": "Default: 0.01 for sgd, 0.001 for adam.",
        "momentum": "Momentum of sgd.",
        "nesterov": "Use Nesterov's momentum in sgd.",
        "l2": "Weight of the L2 penalty, which is added to the gradient of every weight.",
        "seed": "Seed of the first repeat's weights and batch order; repeat r uses seed + r - 1.",
    },
    "Measuring": {
        "time": "Time for each ranking: repeats are added until every pair of contenders is "
        "decided, or the time is over. Certificates, and epochs that are only trained for the "
        "accuracy, come on top. Default: 5m.",
        "margin": "Contenders whose speeds differ by less than this count as the same.",
        "repeats": "Number of repeats, instead of --time. Each has a fresh process of every "
        "contender.",
        "timeout": "Time limit of a trial: 90s, 10m, 1h.",
        "retries": "Retry a disturbed trial that is measured alone (--rounds 0) up to N times. At "
        "most half of all trials are retried.",
        "rounds": "Rounds of each repeat: all contenders of a ranking are alive and take turns in "
        "slices of about 0.3 s, so that drift of the machine affects all alike. 0 measures one "
        "contender after the other, each start cold.",
        "verify": "Check first that each contender does the work that the spec states. Cached "
        "certificates are used.",
    },
    "Data": {
        "train_samples": "Number of training images to use. Default: all.",
        "data_dir": "Folder with the four IDX files of another data set, raw or .gz. Default: the "
        "built-in MNIST.",
    },
    "Cluster": {
        "hosts": "With --cluster: number of identical machines to spread --world-size over: 1,2. "
        "World sizes that do not divide evenly are skipped.",
    },
}
_PANELS = {name: panel for panel, helps in HELP.items() for name in helps}
# Options that say where to measure and what to print, not what is measured.
OF_THE_COMMAND = (
    *("output", "dry_run", "quiet"),
    *("cluster", "nodes", "accelerator_type"),
)


def request_options(*names: str, panel: str = "") -> Callable[[_Command], _Command]:
    """Return a decorator that adds options of a request to a command.

    Args:
        names: fields of `MatrixOptions` or `RunOptions`; without any, all of them.
        panel: the panel in the help; by default each option's own.
    """

    def add(command: _Command) -> _Command:
        for name in reversed(names or tuple(_PANELS)):
            command = _option(name, panel or _PANELS[name])(command)
        return command

    return add


def _option(name: str, panel: str) -> Callable[[_Command], _Command]:
    kind = MatrixOptions if name in MatrixOptions.__struct_fields__ else RunOptions
    default = getattr(kind(), name)
    is_switch = isinstance(default, bool)
    # Commas do the same, but --arm has always been given twice.
    is_repeated = name == "arm"
    typed = _typed(default)
    option: Callable[[_Command], _Command] = click.option(
        f"{flag(name)}/--no-{name}" if is_switch else flag(name),
        name,
        type=None if is_switch else OptionValue(kind, name),
        default=default if is_switch else [typed] if is_repeated else typed,
        multiple=is_repeated,
        show_default=bool(default) and typed is not None,
        help=HELP[_PANELS[name]][name],
        panel=panel,
    )
    return option


def _typed(default: Any) -> Any:
    """Return a default as it would be typed."""
    if isinstance(default, list):
        texts = [f"{one:g}" if isinstance(one, float) else str(one) for one in default]
        return ",".join(texts) or None
    return default if default is None else str(default)


def request_from(options: Mapping[str, Any]) -> Request:
    """Make the request from the options of `bench run`.

    Args:
        options: values by field, as click gives them.

    Raises:
        bench.run.decode.OptionError: options cannot be combined.
    """
    arms = [arm for each in options["arm"] for arm in each]
    return request_of({**options, "arm": arms})


def typed_options() -> list[str]:
    """Return the names of the options that were typed."""
    context = get_current_context()
    source = context.get_parameter_source
    return [name for name in context.params if source(name) is ParameterSource.COMMANDLINE]


def check_alone(what: str, *compatible: str) -> None:
    """Refuse options that cannot be combined with what says everything.

    Args:
        what: `--resume` or `a run file`.
        compatible: the names of the options that can be combined with it.

    Raises:
        click.UsageError: another option was typed.
    """
    for name in typed_options():
        if name not in compatible:
            raise click.UsageError(f"{flag(name)} cannot be combined with {what}")
