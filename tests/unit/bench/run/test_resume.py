"""Resuming a run: valid records are kept, missing and failed trials are measured."""

import json

import pytest

pytestmark = pytest.mark.usefixtures("scripted")


@pytest.fixture
def arguments(tiny, tmp_path):
    return [*tiny, "--no-verify", "--output", str(tmp_path / "out")]


def records(folder):
    lines = (folder / "trials.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_resuming_runs_only_missing_and_failed_trials(bench, arguments, tmp_path):
    out = tmp_path / "out"
    options = ["--backends", "fake", "--modes", "works,raises", "--repeats", "2"]
    assert bench("run", *arguments, *options).returncode == 1
    lines = (out / "trials.jsonl").read_text().splitlines(keepends=True)
    kept = [line for line in lines if json.loads(line)["outcome"] == "ok"]
    failed = [line for line in lines if json.loads(line)["outcome"] == "failed"]
    assert (len(kept), len(failed)) == (2, 2)
    (out / "trials.jsonl").write_text(kept[0] + failed[0])
    done = bench("run", "--resume", str(out))
    assert done.returncode == 1
    assert "1 records are still valid" in done.stderr
    assert "is measured again: it was failed" in done.stderr
    assert "is measured again: not measured yet" in done.stderr
    after = records(out)
    assert [trial["outcome"] for trial in after].count("ok") == 2
    assert json.dumps(after[0]) == json.dumps(json.loads(kept[0]))
    assert len(after) == 2 + 3


def test_resuming_a_complete_run_runs_nothing(bench, arguments, tmp_path):
    options = ["--backends", "fake,numpy", "--repeats", "1"]
    assert bench("run", *arguments, *options).returncode == 0
    before = (tmp_path / "out" / "trials.jsonl").read_bytes()
    assert bench("run", "--resume", str(tmp_path / "out")).returncode == 0
    assert (tmp_path / "out" / "trials.jsonl").read_bytes() == before


INVALID = [
    ({"framework_version": "0.9"}, "measured with version 0.9, now 1.0"),
    ({"backend_digest": "other"}, "the backend's source has changed"),
    ({"machine": "elsewhere"}, "measured on the machine elsewhere"),
    ({"hardware_digest": "other"}, "measured on other hardware of the same name"),
]


def test_a_record_of_another_version_or_machine_is_measured_again(bench, arguments, tmp_path):
    options = ["--backends", "fake", "--repeats", str(len(INVALID) + 1)]
    assert bench("run", *arguments, *options).returncode == 0
    *changed, valid = records(tmp_path / "out")
    changed = [record | change for record, (change, _) in zip(changed, INVALID, strict=True)]
    lines = [json.dumps(record) + "\n" for record in (*changed, valid)]
    (tmp_path / "out" / "trials.jsonl").write_text("".join(lines))
    done = bench("run", "--resume", str(tmp_path / "out"))
    assert done.returncode == 0
    for record, (_, reason) in zip(changed, INVALID, strict=True):
        assert f"{record['trial']} is measured again: {reason}" in done.stderr
    measured = [record["trial"] for record in records(tmp_path / "out")[len(INVALID) + 1 :]]
    assert measured == [record["trial"] for record in changed]


def test_options_cannot_be_combined_with_resume(bench, tmp_path):
    done = bench("run", "--resume", str(tmp_path), "--epochs", "9")
    assert done.returncode == 2
    assert "--epochs cannot be combined with --resume" in done.stderr


def test_a_folder_without_a_run_cannot_be_resumed(bench, tmp_path):
    done = bench("run", "--resume", str(tmp_path))
    assert done.returncode == 2
    assert "manifest.json" in done.stderr
