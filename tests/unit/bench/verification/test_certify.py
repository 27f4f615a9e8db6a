"""The certificate passes what is right, and what it compares by.

test_planted_faults.py shows that it names what is wrong.
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
from bench.verification.locate import beginnings
from bench.verification.reference import make_reference, reference_for


def test_what_is_right_passes():
    checks = checks_of(NumpyBackend(1))
    assert [check for check in checks if not check.passed] == []
    names = {check.name for check in checks}
    assert {"number of parameters", "round trip of the weights", "loss", "gradients"} <= names
    for optimizer in ("SGD with momentum", "SGD with Nesterov momentum", "SGD with L2", "Adam"):
        for steps in (1, 10, 50):
            assert f"weights after {steps} of {optimizer}" in names
            assert f"running statistics after {steps} of {optimizer}" in names


def test_float64_passes_its_tighter_tolerance():
    subject = Subject(NumpyBackend(1), Device("cpu"), "eager", "float64")
    checks = certify(subject, MODEL, SHAPE, OPTIMIZERS)
    assert all(check.passed for check in checks)
    assert TOLERANCES["float64"].forward == 1e-9


def test_values_that_are_not_finite_never_pass():
    good = np.ones(3)
    assert relative_difference(np.array([1, np.nan, 1]), good, 1.0) is None
    assert relative_difference(np.array([1, np.inf, 1]), good, 1.0) is None
    assert relative_difference(np.ones(4), good, 1.0) is None
    check = compare_weights("w", {"a": np.array([np.nan])}, {"a": np.ones(1)}, 1.0)
    assert (check.passed, check.where) == (False, "a")


def test_every_layer_has_a_beginning_and_a_merge_comes_after_its_parts():
    last = [beginning[-1].path for beginning in beginnings(resolve(MODEL, SHAPE))]
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
            "running statistics after 1 of SGD with momentum",
        ),
        (
            lambda: Mutant(
                changed_optimizer(Sgd, lambda rule: msgspec.structs.replace(rule, nesterov=False))
            ),
            "weights after 1 of SGD with Nesterov momentum",
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
def test_faults_are_named_within_the_tolerance_of_a_short_precision(make, name, precision):
    """The fault alone: NumPy's float32 stands for a backend in the short type."""
    subject = Subject(make(), Device("cpu"), "eager", precision)
    checks = {check.name: check for check in certify(subject, MODEL, SHAPE, OPTIMIZERS)}
    assert not checks[name].passed


def test_dropout_is_set_to_zero_wherever_it_is():
    layer = sequential(Dropout(0.5), add(Identity(), sequential(Dropout(0.2))))
    assert without_dropout(layer) == Sequential(
        (Dropout(0.0), Add((Identity(), Sequential((Dropout(0.0),)))))
    )


def test_the_reference_is_kept_and_a_damaged_one_made_anew(tmp_path):
    case = make_case(sequential(GlobalAvgPool(), Dense(3)), (4, 4, 2))
    made = reference_for(case, OPTIMIZERS, tmp_path)
    (path,) = tmp_path.glob("*.npz")
    kept = reference_for(case, OPTIMIZERS, tmp_path)
    for reference in (kept, make_reference(case, OPTIMIZERS)):
        np.testing.assert_array_equal(reference.answers.inference, made.answers.inference)
        trained, wanted = (each.trajectories["Adam"][50] for each in (reference, made))
        for name in wanted:
            np.testing.assert_array_equal(trained[name], wanted[name])
    path.write_bytes(path.read_bytes()[:100])
    again = reference_for(case, OPTIMIZERS, tmp_path)
    np.testing.assert_array_equal(again.answers.inference, made.answers.inference)
    assert path.stat().st_size > 100
