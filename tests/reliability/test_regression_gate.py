"""A slowdown that is planted in a backend's source is found by `bench compare`; a rerun passes."""

import os
import shutil

from support.places import PLUGIN

ONE_BACKEND = ["--backends", "fake", "--modes", "steady", "--repeats", "4", "--retries", "0"]
REGRESSION = 1


def measured(bench, name):
    done = bench.run("run", *bench.quick, *ONE_BACKEND, "--output", name)
    assert done.returncode == 0, done.stderr
    return bench.folder / name


def slowed_down(bench):
    """The fake backend with steps that take twice as long, in the place of the other one."""
    copy = bench.folder / "slower"
    shutil.copytree(PLUGIN, copy)
    source = copy / "evenbench_fake" / "session.py"
    text = source.read_text()
    assert text.count("STEP_SECONDS = 0.05") == 1
    source.write_text(text.replace("STEP_SECONDS = 0.05", "STEP_SECONDS = 0.1"))
    paths = bench.environment["PYTHONPATH"].split(os.pathsep)
    bench.environment["PYTHONPATH"] = os.pathsep.join([str(copy), *paths])


def test_a_planted_slowdown_fails_the_gate_and_a_rerun_does_not(bench):
    base, again = measured(bench, "base"), measured(bench, "again")
    gate = ["--fail-on", "25%"]
    assert bench.run("compare", base, again, *gate).returncode == 0
    slowed_down(bench)
    done = bench.run("compare", base, measured(bench, "later"), *gate)
    assert done.returncode == REGRESSION
    assert "fake steady" in done.stdout
    assert "worse" in done.stdout
