"""Writing and reading the folder of a run."""

import json
import os
import shutil
from pathlib import Path

import jsonschema
import msgspec
import pytest
from support.places import ROOT

from bench.errors import RecordError
from bench.records.manifest import DatasetFacts, Ended, Machine, Manifest, ModelFacts, TimeLimit
from bench.records.reader import read_run
from bench.records.schema import json_schemas
from bench.records.trial import TrialRecord
from bench.records.writer import RunFolder
from bench.spec.job import Job
from bench.spec.layers import Dense, Flatten, sequential
from bench.spec.training import Sgd

SCHEMAS = ROOT / "docs" / "schema"


@pytest.fixture
def manifest():
    machine = Machine(
        hostname="here",
        cpu_model=None,
        physical_cores=None,
        logical_cores=2,
        usable_cpus=2,
        memory_bytes=1,
        operating_system="Linux",
        python="3.11",
    )
    layer = sequential(Flatten(), Dense(3))
    return Manifest(
        suite_version="0",
        started_at="2026-01-01T00:00:00+00:00",
        command="python -m bench run",
        machine=machine,
        dataset=DatasetFacts("tiny", 64, 20, (6, 5, 1), 3),
        models={"tiny": ModelFacts(layer, 93, 90)},
        optimizer=Sgd(),
        epochs=1,
        repeats=1,
        seed=0,
        threads=2,
        timeout_seconds=600,
        framework_versions={"fake": "1"},
        plan=[],
    )


@pytest.fixture
def record():
    return TrialRecord(
        trial="tiny-b16-fake-works-cpu-r1",
        job=Job("tiny", 16, "fake", "works", "cpu"),
        framework_version="1",
        dataset="tiny",
        epochs=1,
        threads=2,
        seed=0,
        repeat=1,
        outcome="failed",
        reason="a \u2028 reason\nof two lines",
    )


def test_a_run_is_read_as_it_was_written(tmp_path, manifest, record):
    with RunFolder(tmp_path / "run") as folder:
        folder.write_manifest(manifest)
        folder.append(record)
        folder.append(msgspec.structs.replace(record, trial="second"))
        again = msgspec.structs.replace(record, outcome="ok", reason=None)
        folder.append(again)
    run = read_run(tmp_path / "run")
    assert run.manifest == manifest
    assert [trial.trial for trial in run.trials] == [record.trial, "second"]
    assert run.trials[0] == again, "the last record of a trial is used"


def test_a_record_is_one_line(tmp_path, record):
    with RunFolder(tmp_path) as folder:
        folder.append(record)
    assert (tmp_path / "trials.jsonl").read_bytes().count(b"\n") == 1


def test_unknown_values_are_written_as_null(tmp_path, record):
    with RunFolder(tmp_path) as folder:
        folder.append(record)
    written = json.loads((tmp_path / "trials.jsonl").read_text())
    assert written["device_peak_memory_bytes"] is None
    assert written["test_accuracy"] is None


def test_an_incomplete_last_line_is_skipped_and_removed_on_reopening(tmp_path, manifest, record):
    with RunFolder(tmp_path) as folder:
        folder.write_manifest(manifest)
        folder.append(record)
    path = tmp_path / "trials.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + whole[: len(whole) // 2])
    assert read_run(tmp_path).trials == [record]
    with RunFolder.reopen(tmp_path) as folder:
        folder.append(record)
    assert path.read_bytes() == whole * 2


def test_a_folder_has_only_one_writer(tmp_path):
    with RunFolder(tmp_path), pytest.raises(RecordError, match="another run is writing"):
        RunFolder.reopen(tmp_path)


def test_a_record_is_saved_elsewhere_when_its_folder_is_gone(tmp_path, record):
    with RunFolder(tmp_path / "run") as folder:
        shutil.rmtree(tmp_path / "run")
        with pytest.raises(RecordError, match="it was removed; the record was saved to") as caught:
            folder.append(record)
    rescued = Path(str(caught.value).rpartition("the record was saved to ")[2])
    assert msgspec.json.decode(rescued.read_bytes(), type=TrialRecord) == record
    rescued.unlink()


def test_a_full_disk_is_reported(tmp_path, record):
    with RunFolder(tmp_path) as folder:
        os.close(folder._trials)
        folder._trials = os.open("/dev/full", os.O_WRONLY)
        message = "No space left on device; the record was saved to"
        with pytest.raises(RecordError, match=message) as caught:
            folder.append(record)
    Path(str(caught.value).rpartition("the record was saved to ")[2]).unlink()


def test_a_folder_with_other_files_is_rejected(tmp_path):
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(RecordError, match=r"thesis\.tex.*--output"):
        RunFolder(tmp_path)


def test_a_path_that_cannot_be_a_folder_is_rejected(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordError, match="Not a directory"):
        RunFolder(tmp_path / "file" / "run")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"schema_version": 1}', "missing required field"),
        (b"{", "truncated"),
        (b"\xff", "line 1"),
        (b'{"schema_version": 99}', "line 1"),
    ],
)
def test_an_invalid_record_is_reported(tmp_path, manifest, line, message):
    with RunFolder(tmp_path) as folder:
        folder.write_manifest(manifest)
    (tmp_path / "trials.jsonl").write_bytes(line + b"\n")
    with pytest.raises(RecordError, match=message):
        read_run(tmp_path)


@pytest.mark.parametrize(
    "changes",
    [{"margin": -1.0}, *({"time_limit": TimeLimit(1, {"a": Ended("", n)})} for n in (0.0, 1.0))],
)
def test_a_margin_or_significance_without_a_meaning_is_rejected(tmp_path, manifest, changes):
    with RunFolder(tmp_path) as folder:
        folder.write_manifest(msgspec.structs.replace(manifest, **changes))
    with pytest.raises(RecordError, match=r"invalid.*(margin|significance)"):
        read_run(tmp_path)


def test_a_record_of_a_newer_version_is_rejected(tmp_path, manifest, record):
    with RunFolder(tmp_path) as folder:
        folder.write_manifest(manifest)
        folder.append(msgspec.structs.replace(record, schema_version=99))
    with pytest.raises(RecordError, match="received schema version 99"):
        read_run(tmp_path)


@pytest.mark.parametrize("name", ["manifest.json", "trials.jsonl"])
def test_the_documented_schemas_are_up_to_date(name):
    stored = json.loads((SCHEMAS / f"{name}.schema.json").read_text())
    assert stored == json.loads(msgspec.json.encode(json_schemas()[name])), (
        "run: python -m bench.records.schema docs/schema"
    )


def test_a_record_matches_its_schema(record):
    document = json.loads(msgspec.json.encode(record))
    schema = json_schemas()["trials.jsonl"]
    jsonschema.validate(document, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**document, "outcome": "splendid"}, schema)


def test_a_manifest_matches_its_schema(manifest):
    jsonschema.validate(json.loads(msgspec.json.encode(manifest)), json_schemas()["manifest.json"])
