"""From the options of `bench run`, typed or in a run file, to what is asked."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click
import msgspec
from click.core import ParameterSource

from bench.cli.run_file import Options, Place, RunFile, read_run_file
from bench.errors import ChoiceError, ModelError, RunFileError, check_known
from bench.machine.environments.choosing import Tell
from bench.records.manifest import AutoRepeats
from bench.run.executor import Executor
from bench.run.plan import SCALINGS, fits
from bench.run.prepare import Choices, Request, prepare_run
from bench.run.prepared import Prepared
from bench.spec.training import Adam, Optimizer, Sgd

# Options that say how the command goes on, not what is measured.
OF_THE_COMMAND = (
    *("output", "dry_run", "quiet"),
    *("cluster", "nodes", "accelerator_type"),
)
_NO_KEYS = (*OF_THE_COMMAND, "file", "resume", "help")


def request_of(
    optimizer: str, repeats: int | None, interval: float, max_time: float, **options: Any
) -> Request:
    """What the options of `bench run` ask, in the context of the command.

    Raises:
        click.UsageError: options that contradict each other.
        bench.errors.ChoiceError: an unknown scaling.
    """
    if repeats is not None:
        check_not_given("interval", "max_time")
    values = {name: options.pop(name) for name in ("learning_rate", "momentum", "nesterov", "l2")}
    check_known(options["scalings"], SCALINGS, "scaling")
    chosen = {name: options.pop(name) for name in Choices.__struct_fields__}
    chosen["arms"] = list(dict.fromkeys(chosen["arms"]))
    return Request(
        choices=[Choices(**chosen)],
        optimizer=_optimizer(optimizer, **values),
        repeats=repeats or 1,
        auto_repeats=None if repeats else AutoRepeats(interval, max_time),
        **options,
    )


def _optimizer(
    name: str, learning_rate: float | None, momentum: float, nesterov: bool, l2: float
) -> Optimizer:
    try:
        if name == "adam":
            return Adam(learning_rate=learning_rate or Adam().learning_rate, l2=l2)
        rate = learning_rate or Sgd().learning_rate
        return Sgd(learning_rate=rate, momentum=momentum, nesterov=nesterov, l2=l2)
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def given() -> list[str]:
    """The names of the options that were typed."""
    context = click.get_current_context()
    source = context.get_parameter_source
    return [name for name in context.params if source(name) is ParameterSource.COMMANDLINE]


def check_alone(what: str, says: str, *fitting: str) -> None:
    """Refuse options that something else has settled already.

    Args:
        what: that says everything.
        says: how it does.
        fitting: the names of the options that may stand beside it.

    Raises:
        click.UsageError: another one was typed.
    """
    for name in given():
        if name not in fitting:
            option = name.replace("_", "-")
            raise click.UsageError(
                f"received {what} with --{option}, expected {what} alone: {says}"
            )


def check_not_given(*names: str) -> None:
    """Refuse options that a fixed number of repeats has no use for.

    Raises:
        click.UsageError: one was typed.
    """
    for name in given():
        if name in names:
            raise click.UsageError(
                f"received --{name.replace('_', '-')} with a number of repeats, expected it with "
                "--repeats auto"
            )


class FromFile(msgspec.Struct, frozen=True):
    """What a run file asks.

    Attributes:
        file: as read.
        request: what it asks.
        verify: whether each contender is checked before the trials.
    """

    file: RunFile
    request: Request
    verify: bool


def request_of_file(command: click.Command, path: Path) -> FromFile:
    """What a run file asks of `bench run`, its values checked by the options themselves.

    Args:
        command: `bench run`.
        path: of the file.

    Raises:
        bench.errors.RunFileError: the file is not right.
    """
    known = {_key(option): option for option in command.params if option.name not in _NO_KEYS}
    of_matrix = [key for key, each in known.items() if each.name in Choices.__struct_fields__]
    file = read_run_file(path, of_matrix, [key for key in known if key not in of_matrix])
    made = [_asked(command, known, file, place, options) for place, options in file.matrices]
    verify, first = made[0]
    request = msgspec.structs.replace(
        first,
        choices=[each.choices[0] for _, each in made],
        excludes=file.excludes,
        baselines=file.baselines,
        title=file.title,
    )
    return FromFile(file, request, verify)


def prepared_file(
    asked: FromFile,
    executor: Executor,
    tell: Tell | None,
    cpus: Sequence[int] | None = None,
) -> Prepared:
    """Check what a run file asks and make the plan; see `bench.run.prepare.prepare_run`.

    Raises:
        bench.errors.RunFileError: a value that is of no use, or a selector that means no job.
        ValueError: in one of the classes that speak of what the user gave.
    """
    lines = asked.file.lines
    try:
        prepared = prepare_run(asked.request, executor, tell, cpus)
    except (ChoiceError, ModelError) as error:
        raise lines.about(str(error)) from error
    threads = prepared.experiment.threads
    asked.file.check_fits(prepared.combinations, partial(fits, threads=threads))
    if not prepared.trials:
        raise lines.about("received matrices and excludes that leave nothing to run")
    return prepared


def _key(option: click.Parameter) -> str:
    """The option's name as a key."""
    return max(option.opts, key=len).lstrip("-").replace("-", "_")


def _asked(
    command: click.Command,
    known: Mapping[str, click.Parameter],
    file: RunFile,
    place: Place,
    options: Options,
) -> tuple[bool, Request]:
    """What one matrix asks with the settings of the whole run."""
    places = {**dict.fromkeys(file.settings, Place("run")), **dict.fromkeys(options, place)}
    arguments: list[str] = []
    for key, value in {**file.settings, **options}.items():
        try:
            arguments += _arguments(known[key], value)
        except ValueError as error:
            raise file.lines.error(places[key], key, f"{key}: {error}") from error
    try:
        with command.make_context("run", arguments) as context:
            values = {name: value for name, value in context.params.items() if name not in _NO_KEYS}
            verify = values.pop("verify")
            return verify, request_of(**values)
    except click.UsageError as error:
        raise _at_its_line(error, file, places) from error


def _arguments(option: click.Parameter, value: Any) -> Iterator[str]:
    """The option as it would be typed."""
    name = max(option.opts, key=len)
    if isinstance(option, click.Option) and option.is_flag:
        if not isinstance(value, bool):
            raise ValueError(f"received {value!r}, expected true or false")
        yield from [name] if value else option.secondary_opts
        return
    values = value if isinstance(value, list) else [value]
    if any(isinstance(one, bool) for one in values):
        raise ValueError(f"received {value!r}, expected a number or text")
    if option.multiple:
        for one in values:
            yield from (name, str(one))
    else:
        yield from (name, ",".join(map(str, values)))


def _at_its_line(
    error: click.UsageError, file: RunFile, places: Mapping[str, Place]
) -> RunFileError:
    option = getattr(error, "param", None)
    if option is not None and _key(option) in places:
        key = _key(option)
        return file.lines.error(places[key], key, f"{key}: {error.message}")
    said = {error.message.find(f"--{key.replace('_', '-')}"): key for key in places}
    named = said[min((at for at in said if at >= 0), default=-1)] if max(said) >= 0 else ""
    return file.lines.error(places.get(named, Place("run")), named, error.message)
