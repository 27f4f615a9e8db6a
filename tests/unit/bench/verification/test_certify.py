"""Certificates of correct backends, and how a certificate compares.

Faulty backends are in test_planted_faults.py.
"""

import msgspec
import numpy as np
import pytest
from support.planted import (
    MODEL,
    SHAPE,
    Mutant,
    changed_layer,
    changed_optimizer,
    checks_of,
    summed_loss,
)

from backends.api import Device
from backends.numpy.backend import NumpyBackend
from bench.spec.layers import (
    Activation,
    Add,
    BatchNorm,
    Dense,
    Dropout,
    GlobalAvgPool,
    Identity,
    Sequential,
    add,
    sequential,
)
from bench.spec.shapes import resolve
from bench.spec.training import Sgd
from bench.verification.case import OPTIMIZERS, make_case, without_dropout
from bench.verification.certificate import TOLERANCES
from bench.verification.certify import Subject, certify
from bench.verification.compare import compare_weights, relative_difference
from bench.verification.locate import prefixes
from bench.verification.reference import make_reference, reference_for


def test_a_correct_backend_passes():
    checks = checks_of(NumpyBackend(1))
    assert [check for check in checks if not check.passed] == []
    names = {check.name for check in checks}
    assert {"number of parameters", "round trip of the weights", "loss", "gradients"} <= names
    for optimizer in ("SGD with momentum", "SGD with Nesterov momentum", "SGD with L2", "Adam"):
        for steps in (1, 10, 50):
            assert f"weights after step {steps} of {optimizer}" in names
            assert f"running statistics after step {steps} of {optimizer}" in names


def test_float64_passes_a_tolerance_of_1e_9():
    subject = Subject(NumpyBackend(1), Device("cpu"), "eager", "float64")
    checks = certify(subject, MODEL, SHAPE, OPTIMIZERS)
    assert all(check.passed for check in checks)
    assert TOLERANCES["float64"].forward == 1e-9


def test_non_finite_values_fail():
    good = np.ones(3)
    assert relative_difference(np.array([1, np.nan, 1]), good, 1.0) is None
    assert relative_difference(np.array([1, np.inf, 1]), good, 1.0) is None
    assert relative_difference(np.ones(4), good, 1.0) is None
    check = compare_weights("w", {"a": np.array([np.nan])}, {"a": np.ones(1)}, 1.0)
    assert (check.passed, check.where) == (False, "a")


def test_a_merge_comes_after_the_layers_of_its_branches():
    last = [prefix[-1].path for prefix in prefixes(resolve(MODEL, SHAPE))]
    assert last[3:7] == [
        "3.add/0.identity",
        "3.add/1.sequential/0.conv",
        "3.add/1.sequential/1.activation",
        "3.add",
    ]
    assert last[-1] == "8.dense"


@pytest.mark.parametrize("precision", ["bfloat16", "float16", "tf32"])
@pytest.mark.parametrize(
    ("make", "name"),
    [
        (summed_loss, "gradients"),
        (
            lambda: Mutant(
                changed_layer(BatchNorm, lambda layer: BatchNorm(1 - layer.momentum, layer.epsilon))
            ),
            "running statistics after step 1 of SGD with momentum",
        ),
        (
            lambda: Mutant(
                changed_optimizer(Sgd, lambda rule: msgspec.structs.replace(rule, nesterov=False))
            ),
            "weights after step 1 of SGD with Nesterov momentum",
        ),
        (
            lambda: Mutant(changed_layer(Dense, lambda layer: Dense(layer.units, bias=False))),
            "logits in inference",
        ),
        (
            lambda: Mutant(changed_layer(Activation, lambda layer: Activation("relu"))),
            "logits in training",
        ),
    ],
)
def test_faults_exceed_the_tolerance_of_a_low_precision(make, name, precision):
    """NumPy in float32 stands in for a backend in low precision, so only the fault shows."""
    subject = Subject(make(), Device("cpu"), "eager", precision)
    needed = [each for each in OPTIMIZERS if name.endswith(each)] or ["SGD with momentum"]
    optimizers = {each: OPTIMIZERS[each] for each in needed}
    checks = {check.name: check for check in certify(subject, MODEL, SHAPE, optimizers)}
    assert not checks[name].passed


def test_dropout_is_set_to_0_in_nested_layers():
    layer = sequential(Dropout(0.5), add(Identity(), sequential(Dropout(0.2))))
    assert without_dropout(layer) == Sequential(
        (Dropout(0.0), Add((Identity(), Sequential((Dropout(0.0),)))))
    )


def test_the_reference_is_cached_and_a_damaged_file_is_replaced(tmp_path):
    case = make_case(sequential(GlobalAvgPool(), Dense(3)), (4, 4, 2))
    first = reference_for(case, OPTIMIZERS, tmp_path)
    (path,) = tmp_path.glob("*.npz")
    cached = reference_for(case, OPTIMIZERS, tmp_path)
    for reference in (cached, make_reference(case, OPTIMIZERS)):
        np.testing.assert_array_equal(reference.initial.inference, first.initial.inference)
        trained, wanted = (each.trajectories["Adam"][50] for each in (reference, first))
        for name in wanted:
            np.testing.assert_array_equal(trained[name], wanted[name])
    path.write_bytes(path.read_bytes()[:100])
    again = reference_for(case, OPTIMIZERS, tmp_path)
    np.testing.assert_array_equal(again.initial.inference, first.initial.inference)
    assert path.stat().st_size > 100
