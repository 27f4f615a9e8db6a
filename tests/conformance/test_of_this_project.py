"""Checks of the built-in backends in addition to the conformance suite."""

import importlib

import pytest

from backends.api import Unsupported
from backends.registry import installed_version, recipes
from bench.spec.layers import Conv, Dense, Flatten, MaxPool, sequential
from bench.spec.models import build
from bench.verification.case import ONE_OPTIMIZER, OPTIMIZERS, make_case
from bench.verification.conformance.contender import contender_of

SHORT = [
    (name, mode)
    for name in ("torch", "tensorflow", "jax")
    if installed_version(recipes()[name])
    for mode in recipes()[name].modes
    if mode != "compile"
]


@pytest.fixture
def contender(request):
    return contender_of(*request.param)


@pytest.mark.parametrize("contender", SHORT, indirect=True, ids="-".join)
def test_the_logic_of_float16_holds_apart_from_a_device(contender, monkeypatch):
    """The loss scale above all: without it, or undone only in part, gradients are off."""
    platform = importlib.import_module(f"backends.{contender.recipe.name}.platform")
    monkeypatch.setattr(platform, "precisions", lambda device: ["float16"])
    checks = contender.certify(build("mlp"), (28, 28, 1), ONE_OPTIMIZER, "float16")
    assert [check for check in checks if not check.passed] == []


@pytest.mark.skipif(("jax", "scan") not in SHORT, reason="JAX is not installed")
@pytest.mark.parametrize("contender", [("jax", "scan")], indirect=True, ids="-".join)
def test_scan_mode_does_not_support_a_pipeline(contender):
    layer = sequential(Conv(4, 3), MaxPool(2), Flatten(), Dense(3))
    asked = contender.workload(make_case(layer, (6, 6, 2)), OPTIMIZERS["SGD with momentum"])
    with pytest.raises(Unsupported, match="input 'pipeline' in mode scan"):
        contender.backend.session(asked._replace(input="pipeline"))
