"""From the options of `bench run`, typed or in a run file, to what is asked."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import msgspec
from click.core import ParameterSource

from bench.cli.run_file import Options, Place, RunFile, read_run_file
from bench.errors import RunFileError, check_known
from bench.records.manifest import AutoRepeats
from bench.run.plan import SCALINGS
from bench.run.request import Choices, Request
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


def check_alone(what: str, *compatible: str) -> None:
    """Refuse options that cannot be combined with what says everything.

    Args:
        what: `--resume` or `a run file`.
        compatible: the names of the options that can be combined with it.

    Raises:
        click.UsageError: another option was typed.
    """
    for name in given():
        if name not in compatible:
            option = name.replace("_", "-")
            raise click.UsageError(f"--{option} cannot be combined with {what}")


def check_not_given(*names: str) -> None:
    """Refuse options that have no meaning with a fixed number of repeats.

    Raises:
        click.UsageError: one was typed.
    """
    for name in given():
        if name in names:
            raise click.UsageError(f"--{name.replace('_', '-')} needs --repeats auto")


class FromFile(msgspec.Struct, frozen=True):
    """What a run file asks.

    Attributes:
        file: as read.
        request: what it asks.
    """

    file: RunFile
    request: Request


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
    request = msgspec.structs.replace(
        made[0],
        choices=[each.choices[0] for each in made],
        excludes=file.excludes,
        baselines=file.baselines,
        title=file.title,
    )
    return FromFile(file, request)


def _key(option: click.Parameter) -> str:
    """The option's name as a key."""
    return max(option.opts, key=len).lstrip("-").replace("-", "_")


def _asked(
    command: click.Command,
    known: Mapping[str, click.Parameter],
    file: RunFile,
    place: Place,
    options: Options,
) -> Request:
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
            return request_of(**values)
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
