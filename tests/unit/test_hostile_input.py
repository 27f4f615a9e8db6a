"""Any input is accepted or refused with a sentence: specs, records, the command line.

The IDX loader has its own properties in bench/data/test_properties.py; tests/reliability/fuzz.py
gives all of them a hundred thousand inputs.
"""

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.targets import furnish, targets

from bench.records.trial import TrialRecord

PLENTY = settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture
def found(make, tmp_path, cache):
    """The targets, with a folder that holds what they read."""
    furnish(tmp_path)
    run = make.store(tmp_path / "run", [make.trial()])
    manifest, record = ((run / name).read_bytes() for name in ("manifest.json", "trials.jsonl"))
    assert msgspec.json.decode(record, type=TrialRecord).outcome == "ok"
    return targets(manifest, record.strip())


@pytest.mark.parametrize("name", ["spec decoder", "record reader"])
@PLENTY
@given(data=st.data())
def test_anything_is_taken_or_refused(found, tmp_path, name, data):
    target = found[name]
    target.accepts(tmp_path, data.draw(target.inputs))


@settings(PLENTY, max_examples=60)
@given(data=st.data())
def test_any_command_is_taken_or_refused(found, tmp_path, data):
    target = found["command line"]
    target.accepts(tmp_path, data.draw(target.inputs))


def test_what_is_whole_is_taken(found, tmp_path, make):
    run = make.store(tmp_path / "whole", [make.trial()])
    files = tuple((run / name).read_bytes() for name in ("manifest.json", "trials.jsonl"))
    assert found["record reader"].accepts(tmp_path, files)
    assert found["spec decoder"].accepts(tmp_path, b'{"kind":"flatten"}')
    assert found["command line"].accepts(tmp_path, ["--epochs", "2"])
