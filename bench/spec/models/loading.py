"""Loads a model by its name, or from a function in the user's own file, and scales its width."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import msgspec

from bench.errors import ModelError
from bench.spec.layers import Conv, Dense, Layer, LayerBase, from_json, to_json
from bench.spec.models.registry import all_models, build

FORM = "path/to/file.py:function"
_WIDTH = {Dense: "units", Conv: "filters"}


class LoadedModel(NamedTuple):
    """A model."""

    name: str
    layer: Layer


def load(reference: str, classes: int) -> LoadedModel:
    """Load a model.

    Args:
        reference: a model's name, or `path/to/file.py:function`. The function returns a layer and
            takes either `classes` or nothing.
        classes: the number of classes of the data set.

    Raises:
        ModelError: there is no such model, or the user's function does not return one.
    """
    path, colon, function = reference.rpartition(":")
    if colon:
        return _load_from_file(Path(path), function, classes)
    if reference.endswith(".py"):
        raise ModelError(f"the file {reference!r}", f"{FORM}: add a colon and the function's name")
    return LoadedModel(reference, build(reference, classes))


def _load_from_file(path: Path, name: str, classes: int) -> LoadedModel:
    function = _function(_module(path), path, name)
    layer = _call(function, f"{path}:{name}", classes)
    return LoadedModel(f"{path.stem}.{name}" if name in all_models() else name, layer)


def _module(path: Path) -> ModuleType:
    if path.suffix != ".py" or not path.is_file():
        raise ModelError(f"the file {str(path)!r}", f"a Python file that exists, as in {FORM}")
    name = f"evenbench_model_file_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ModelError(f"the file {str(path)!r}", "a file that Python can import")
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look up their own module by its name while the file is executed.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise ModelError(
            f"{_sentence(error)} from running {path}", "a file that runs without an error"
        ) from error
    return module


def _function(module: ModuleType, path: Path, name: str) -> Callable[..., Any]:
    function: object = getattr(module, name, None)
    if callable(function):
        return function
    own = [
        key
        for key, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == module.__name__
    ]
    problem = "is no function" if hasattr(module, name) else "does not exist"
    wanted = f"one of its functions: {', '.join(own)}" if own else "a function; the file has none"
    raise ModelError(f"the name {name!r}, which {problem} in {path}", wanted)


def _call(function: Callable[..., Any], reference: str, classes: int) -> Layer:
    arguments = _arguments(function, reference, classes)
    try:
        layer = function(**arguments)
    except (Exception, SystemExit) as error:
        raise ModelError(
            f"{_sentence(error)} from {reference}", "a function that returns a layer"
        ) from error
    if not isinstance(layer, LayerBase):
        wanted = "a layer of bench.spec.layers as its return value"
        raise ModelError(f"{type(layer).__name__} from {reference}", wanted)
    return _checked(layer, reference)


def _arguments(function: Callable[..., Any], reference: str, classes: int) -> dict[str, int]:
    signature = inspect.signature(function)
    arguments = {"classes": classes} if "classes" in signature.parameters else {}
    try:
        signature.bind(**arguments)
    except TypeError as error:
        wanted = "no parameter or only `classes`; give other parameters a default"
        raise ModelError(f"{reference} with the parameters {signature}", wanted) from error
    return arguments


def _checked(layer: LayerBase, reference: str) -> Layer:
    """Encode and decode the layer as for a worker, which checks the type of every field."""
    try:
        return from_json(to_json(layer))  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        wanted = "layers of bench.spec.layers with fields of valid types"
        raise ModelError(f"{_sentence(error)} in the layer from {reference}", wanted) from error


def _sentence(error: BaseException) -> str:
    return f"{type(error).__name__} ({error})" if str(error) else type(error).__name__


def widen(layer: Layer, factor: float) -> Layer:
    """Multiply the units and filters of all layers but the last, and round them.

    The last layer with units or filters determines the classes and is not changed. This is the
    width multiplier of Howard et al. (2017), "MobileNets", section 3.3, for any model.

    Args:
        layer: the model.
        factor: above 0; 1 returns the model unchanged.

    Raises:
        ModelError: a layer would have no units or filters.
    """
    return layer if factor == 1 else _widen(layer, factor, is_last=True)


def _widen(layer: Layer, factor: float, *, is_last: bool) -> Layer:
    if type(layer) in _WIDTH:
        return layer if is_last else _wide(layer, factor)
    parts = getattr(layer, "parts", None)
    if parts is None:
        return layer
    last = max((place for place, part in enumerate(parts) if _has_width(part)), default=-1)
    made = tuple(
        _widen(part, factor, is_last=is_last and place == last) for place, part in enumerate(parts)
    )
    return msgspec.structs.replace(layer, parts=made)


def _wide(layer: Layer, factor: float) -> Layer:
    name = _WIDTH[type(layer)]
    width = getattr(layer, name)
    if round(width * factor) < 1:
        raise ModelError(
            f"width {factor:g} and a layer with {width} {name}", "a width that leaves at least one"
        )
    return msgspec.structs.replace(layer, **{name: round(width * factor)})


def _has_width(layer: Layer) -> bool:
    return type(layer) in _WIDTH or any(map(_has_width, getattr(layer, "parts", ())))
