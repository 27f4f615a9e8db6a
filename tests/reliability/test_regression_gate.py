"""`bench compare` detects a slowdown introduced into a backend's source; a rerun passes."""

import os
import shutil

from support.places import PLUGIN

ONE_BACKEND = ["--backends", "fake", "--modes", "steady", "--repeats", "4", "--rounds", "1"]
REGRESSION = 1


def run_benchmark(bench, name):
    done = bench.run("run", *bench.quick, *ONE_BACKEND, "--output", name)
    assert done.returncode == 0, done.stderr
    return bench.folder / name


def install_slower_backend(bench):
    """Replace the fake backend by a copy whose steps take twice as long."""
    copy = bench.folder / "slower"
    shutil.copytree(PLUGIN, copy)
    source = copy / "evenbench_fake" / "session.py"
    text = source.read_text()
    assert text.count("STEP_SECONDS = 0.05") == 1
    source.write_text(text.replace("STEP_SECONDS = 0.05", "STEP_SECONDS = 0.1"))
    paths = bench.environment["PYTHONPATH"].split(os.pathsep)
    bench.environment["PYTHONPATH"] = os.pathsep.join([str(copy), *paths])


def test_a_slower_backend_fails_the_comparison_and_a_rerun_passes(bench):
    base, again = run_benchmark(bench, "base"), run_benchmark(bench, "again")
    gate = ["--fail-on", "25%"]
    assert bench.run("compare", base, again, *gate).returncode == 0
    install_slower_backend(bench)
    done = bench.run("compare", base, run_benchmark(bench, "later"), *gate)
    assert done.returncode == REGRESSION
    assert "fake steady" in done.stdout
    assert "worse" in done.stdout
