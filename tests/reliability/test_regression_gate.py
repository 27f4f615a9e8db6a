"""A slowdown that is planted in a backend's source is found by `bench compare`; a rerun passes."""

import os
import shutil

import pytest
from support.commands import PLUGIN, Command

ONE_BACKEND = ["--backends", "fake", "--modes", "steady", "--repeats", "4", "--retries", "0"]
REGRESSION = 1


@pytest.fixture
def command(tmp_path):
    return Command(tmp_path)


def measured(command, name):
    done = command.run("run", *command.quick, *ONE_BACKEND, "--output", name)
    assert done.returncode == 0, done.stderr
    return command.folder / name


def slowed_down(command):
    """The fake backend with steps that take twice as long, in the place of the other one."""
    copy = command.folder / "slower"
    shutil.copytree(PLUGIN, copy)
    source = copy / "evenbench_fake" / "session.py"
    text = source.read_text()
    assert text.count("STEP_SECONDS = 0.05") == 1
    source.write_text(text.replace("STEP_SECONDS = 0.05", "STEP_SECONDS = 0.1"))
    paths = command.environment["PYTHONPATH"].split(os.pathsep)
    command.environment["PYTHONPATH"] = os.pathsep.join([str(copy), *paths])


def test_a_planted_slowdown_fails_the_gate_and_a_rerun_does_not(command):
    base, again = measured(command, "base"), measured(command, "again")
    gate = ["--fail-on", "25%"]
    assert command.run("compare", base, again, *gate).returncode == 0
    slowed_down(command)
    done = command.run("compare", base, measured(command, "later"), *gate)
    assert done.returncode == REGRESSION
    assert "fake steady" in done.stdout
    assert "worse" in done.stdout
