"""Reading runs that earlier versions of the suite wrote."""

import json
import shutil

import msgspec
import pytest
from support.places import STORED_RUNS

from bench.errors import RecordError
from bench.records import migration
from bench.records.reader import read_run
from bench.spec import job as records
from reports import write_report


def test_a_run_of_version_1_is_read_and_reported(tmp_path):
    folder = shutil.copytree(STORED_RUNS / "version-1", tmp_path / "run")
    run = read_run(folder)
    assert [trial.outcome for trial in run.trials] == ["ok", "ok", "timeout"]
    assert run.trials[0].throughput_images_per_second == 123_456.5
    assert run.trials[0].job.input == "resident"  # a field that version 1 did not have
    assert run.manifest.optimizer.learning_rate == 0.01
    assert run.certificates[0].passed
    write_report([folder], formats=["markdown"])
    assert "123,500" in (folder / "report.md").read_text()


def test_the_release_date_in_earlier_manifests_is_ignored(tmp_path):
    folder = shutil.copytree(STORED_RUNS / "version-1", tmp_path / "run")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["installations"] = {
        "torch": {
            "requirements": ["torch==2.13.*"],
            "python": "3.11.7",
            "own_environment": False,
            "packages": {"torch": "2.13.0"},
            "size_bytes": 700,
            "adapter_lines": 918,
            "released": "2025-12-02",
        }
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    installation = read_run(folder).manifest.installations["torch"]
    assert installation.adapter_lines == 918
    assert not hasattr(installation, "released")
    write_report([folder], formats=["markdown"])
    assert "What adopting costs" in (folder / "report.md").read_text()


def test_every_file_is_migrated_step_by_step(tmp_path, monkeypatch):
    def rename(value):
        if "throughput" in value:
            value["throughput_images_per_second"] = value.pop("throughput")
        return value

    monkeypatch.setattr(migration, "STEPS", {0: rename, **migration.STEPS})
    folder = shutil.copytree(STORED_RUNS / "version-1", tmp_path / "run")
    for name in ("manifest.json", "trials.jsonl"):
        text = (folder / name).read_text()
        text = text.replace('"schema_version":1', '"schema_version":0')
        text = text.replace('"schema_version": 1', '"schema_version": 0')
        text = text.replace('"throughput_images_per_second"', '"throughput"')
        (folder / name).write_text(text)
    assert json.loads((folder / "manifest.json").read_text())["schema_version"] == 0
    run = read_run(folder)
    assert run.trials[0].throughput_images_per_second == 123_456.5
    assert {run.manifest.schema_version, run.trials[0].schema_version} == {records.SCHEMA_VERSION}


def test_all_stored_versions_are_read_as_the_same_run():
    old, new = (read_run(STORED_RUNS / f"version-{number}") for number in (1, 2))
    assert msgspec.structs.replace(old, folder=new.folder) == new


def test_coordinates_in_the_trial_names_of_version_1_are_found(tmp_path):
    folder = shutil.copytree(STORED_RUNS / "version-1", tmp_path / "run")
    path = folder / "trials.jsonl"
    path.write_text(path.read_text().replace("-cpu-r1", "-cpu-threads2-at0a1b2c3d-r1"))
    job = read_run(folder).trials[0].job
    assert (job.threads, job.place) == (2, "0a1b2c3d")


@pytest.mark.parametrize("text", ["[1]", '[{"checks": []}]', "[[]]"])
def test_invalid_certificates_are_rejected(tmp_path, text):
    folder = shutil.copytree(STORED_RUNS / "version-1", tmp_path / "run")
    (folder / "certificates.json").write_text(text)
    with pytest.raises(RecordError, match=r"certificates.json certificate 1"):
        read_run(folder)


@pytest.mark.parametrize("version", [0, 99])
def test_a_version_without_migration_is_rejected(tmp_path, version):
    folder = shutil.copytree(STORED_RUNS / "version-1", tmp_path / "run")
    path = folder / "trials.jsonl"
    path.write_text(path.read_text().replace('"schema_version":1', f'"schema_version":{version}'))
    with pytest.raises(RecordError, match=f"received schema version {version}, expected 2"):
        read_run(folder)
