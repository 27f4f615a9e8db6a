"""Two versions of one framework, each in its own environment, in one run."""

import json
import os
import subprocess
import sys

from support.places import ROOT

ASKED = "numpy==2.2.*"


def test_concurrent_commands_create_one_environment(bench):
    command = [sys.executable, "-m", "bench", "env", "create", ASKED]
    started = [
        subprocess.Popen(command, cwd=ROOT, env=os.environ, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    messages = [process.communicate(timeout=600)[1] for process in started]
    assert [process.returncode for process in started] == [0, 0], messages
    assert sum("creating an environment" in text for text in messages) == 1
    listed = bench.run("env", "list").stdout
    assert listed.count(ASKED) == 1
    assert "numpy-" in listed


def test_versions_are_contenders_in_one_run(bench, tiny, tmp_path, records):
    out = tmp_path / "out"
    done = bench.run(
        "run", *tiny, "--backends", f"numpy,{ASKED}", "--repeats", "1", "--output", str(out)
    )
    assert done.returncode == 0, done.stderr
    found = records(out)
    assert found[ASKED]["framework_version"].startswith("2.2.")
    assert found[ASKED]["versions"]["numpy"] == found[ASKED]["framework_version"]
    assert found["numpy"]["framework_version"] != found[ASKED]["framework_version"]
    assert {each["equivalence"] for each in found.values()} == {"passed"}
    installations = json.loads((out / "manifest.json").read_text())["installations"]
    assert installations[ASKED]["own_environment"]
    assert installations[ASKED]["requirements"] == [ASKED]
    assert installations[ASKED]["packages"] == {"numpy": found[ASKED]["framework_version"]}
    assert not installations["numpy"]["own_environment"]
    assert ASKED in (out / "report.md").read_text()
    # A later command finds every environment and record, and measures nothing.
    again = bench.run("run", "--resume", str(out), "--dry-run")
    assert "2 records are still valid" in again.stderr


def test_an_existing_environment_can_be_used(bench, tiny, tmp_path, records, shared_cache):
    (python,) = shared_cache.glob("environments/numpy-*/bin/python")
    out = tmp_path / "out"
    done = bench.run(
        "run", *tiny, "--backends", f"numpy@{python}", "--repeats", "1", "--output", str(out)
    )
    assert done.returncode == 0, done.stderr
    (record,) = records(out).values()
    assert record["framework_version"].startswith("2.2.")


def test_an_environment_is_removed_by_its_requested_name(bench):
    assert ASKED in bench.run("env", "list").stdout
    assert bench.run("env", "remove", ASKED).returncode == 0
    assert ASKED not in bench.run("env", "list").stdout
