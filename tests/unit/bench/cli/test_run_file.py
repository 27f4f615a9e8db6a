"""Run files: the jobs they describe, errors with line numbers, and resuming."""

import json
from pathlib import Path

import pytest
from support.places import ROOT

from bench.cli.run_file import read_run_file
from bench.errors import RunFileError
from bench.run.estimates import Estimator
from bench.run.executor import LocalExecutor
from bench.run.prepare import make_plan
from bench.spec.job import Job

EXAMPLES = sorted((ROOT / "examples").glob("*.toml"))
RIGHT = """\
title = "What the tests run"

[run]
epochs = 1
data_dir = "tiny"
verify = false
repeats = 2
retries = 0

[matrix]
backends = ["numpy", "fake"]
models = ["models.py:tiny"]
modes = ["eager", "works"]
batch_sizes = [8, 16]

[[include]]
backends = "numpy"
batch_sizes = 32

[[exclude]]
backend = "fake"
batch_size = [8, 4]

[baselines.small]
batch_size = 8
"""


def planned(path):
    run_file = read_run_file(path)
    with run_file.locating_errors():
        return make_plan(run_file.request, LocalExecutor())


@pytest.fixture
def asked(tmp_path, tiny, monkeypatch, cache):
    """The plan of a run file of this text."""
    monkeypatch.chdir(tmp_path)

    def ask(text):
        (tmp_path / "file.toml").write_text(text)
        return planned(Path("file.toml"))

    return ask


def test_matrices_includes_and_excludes_make_the_jobs(asked):
    prepared = asked(RIGHT)
    jobs = [(job.backend, job.mode, job.batch_size) for job in prepared.jobs]
    assert jobs == [
        ("numpy", "eager", 8),
        ("numpy", "eager", 16),
        ("fake", "works", 16),
        ("numpy", "eager", 32),
    ]
    assert len(prepared.trials) == 2 * len(jobs)
    assert prepared.experiment.epochs == 1


def test_missing_options_have_the_defaults_of_the_command(asked):
    prepared = asked(RIGHT.replace("retries = 0\n", ""))
    assert prepared.experiment.retries == 2


def test_several_matrices_and_widths_can_be_combined(asked):
    text = RIGHT.replace("[matrix]", "[[matrix]]").replace("batch_size = 8", "batch_size = 16")
    text += '\n[[matrix]]\nbackends = ["numpy"]\nmodels = ["models.py:tiny"]\nwidths = [1, 2]\n'
    jobs = asked(text + "batch_sizes = [16]\nthreads = [1]\n").jobs
    assert {job.model for job in jobs} == {"tiny", "tiny-width2"}
    assert len(jobs) == len(set(jobs)) == 5


WRONG = [
    (
        "epochs = 1",
        "epochs = 0",
        4,
        "epochs cannot be 0: expected a whole number from",
    ),
    ("epochs = 1", "epoch = 1", 4, "did you mean epochs"),
    ("epochs = 1", "epochs = true", 4, "epochs cannot be True"),
    ("epochs = 1", "epochs = [[1]]", 4, "epochs cannot be [[1]]"),
    ("verify = false", "verify = 0", 6, "expected true or false"),
    ("retries = 0", 'time = "1m"', 8, "time cannot be combined with --repeats"),
    ("batch_sizes = [8, 16]", "batch_sizes = [0]", 14, "whole numbers"),
    ("batch_sizes = [8, 16]", "batch_size = [8]", 14, "did you mean batch_sizes"),
    ("batch_sizes = [8, 16]", "epochs = 2", 14, "unknown key 'epochs': it belongs to [run]"),
    ("retries = 0", "modes = []", 8, "unknown key 'modes': it belongs to [matrix]"),
    ('"numpy", "fake"]', '"nunpy", "fake"]', 11, "did you mean numpy"),
    ('["eager", "works"]', '["eagre"]', 13, "did you mean eager"),
    ("batch_sizes = 32", "batch_sizes = 1.5", 18, "whole numbers"),
    ("batch_size = [8, 4]", 'batch_size = "8"', 22, "expected a whole number"),
    ("batch_size = [8, 4]", "batch_size = 4", 20, "values that some job has"),
    ("batch_size = [8, 4]", "batch = 4", 22, "did you mean batch_size"),
    ("small]\nbatch_size = 8", "small]\nbatch_size = [8]", 25, "expected a whole number"),
    ("small]\nbatch_size = 8", "small]\nbatch_size = 9", 24, "values that some job has"),
    ("[baselines.small]", "[baseline.small]", 24, "did you mean baselines"),
    ("[run]", "[run", 3, "not TOML"),
    ('title = "What', 'title = 3 #"', 1, "expected text"),
    ("[run]", "[[run]]", 3, "run must be a table: [run]"),
]


@pytest.mark.parametrize(("right", "wrong", "line", "said"), WRONG)
def test_an_error_is_reported_with_its_line(asked, right, wrong, line, said):
    assert right in RIGHT
    with pytest.raises(RunFileError) as caught:
        asked(RIGHT.replace(right, wrong, 1))
    assert said in str(caught.value)
    assert f"line {line}" in str(caught.value)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"x" * (2**20 + 1)])
def test_an_unreadable_file_is_rejected(bench, tmp_path, content):
    (tmp_path / "file.toml").write_bytes(content)
    for verb in ("run", "plan"):
        assert bench(verb, str(tmp_path / "file.toml")).returncode == 2
    for path in (tmp_path, tmp_path / "nowhere.toml"):
        assert bench("plan", str(path)).returncode == 2


RESUMED = """\
run = {epochs = 1, data_dir = "tiny", verify = false, repeats = 2, retries = 0}
matrix = {backends = ["numpy", "fake"], models = ["models.py:tiny"], batch_sizes = 16}
include = [{backends = "fake", modes = "steady"}]
"""


def test_valid_records_are_not_measured_again(bench, tmp_path, tiny, scripted):
    file, out = tmp_path / "file.toml", tmp_path / "runs" / "file"
    file.write_text(RESUMED)

    def run(*options):
        return bench("run", "file.toml", *options, cwd=tmp_path)

    def measured():
        lines = [json.loads(line) for line in (out / "trials.jsonl").read_text().splitlines()]
        return [line["trial"] for line in lines]

    assert run().returncode == 0
    first = measured()
    assert len(first) == len(set(first)) == 6
    again = run()
    assert again.returncode == 0
    assert "6 records of this run are still valid" in again.stderr
    assert measured() == first
    file.write_text(RESUMED.replace("steady", "early"))
    planned = bench("plan", "file.toml", cwd=tmp_path)
    assert planned.returncode == 0
    assert "6 trials of 3 jobs; 4 are measured and valid, 2 are left" in planned.stdout
    assert run().returncode == 0
    assert measured()[:6] == first
    added = measured()[6:]
    assert len(added) == 2
    assert all("-fake-early-" in name for name in added)
    file.write_text(RESUMED.replace("epochs = 1", "epochs = 2"))
    refused = run()
    assert refused.returncode == 2
    assert "another epochs" in refused.stderr


def test_options_cannot_be_combined_with_a_run_file(bench, tmp_path):
    (tmp_path / "file.toml").write_text(RIGHT)
    done = bench("run", "file.toml", "--epochs", "3", cwd=tmp_path)
    assert done.returncode == 2
    assert "--epochs cannot be combined with a run file" in done.stderr


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_are_valid(path, cache):
    assert planned(path).trials


def test_a_trial_is_estimated_from_the_most_similar_records(make, asked):
    experiment = asked(RIGHT).experiment  # one epoch
    known = [
        make.trial("numpy", "eager", model="tiny", batch_size=8, threads=9),
        make.trial("numpy", "eager", 2, model="tiny", batch_size=16, wall_seconds=11.3),
        make.trial("fake", "works", model="tiny", batch_size=8, outcome="failed"),
    ]
    estimator = Estimator(known)

    def estimate(backend, mode, batch_size=8):
        job = Job("tiny", batch_size, backend, mode, "cpu", threads=9)
        return estimator.estimate(job, experiment, examples=59_968)

    # 1.3 of the 4 seconds were spent in three epochs of the same size: one epoch takes a third.
    assert estimate("numpy", "eager") == (pytest.approx(4.0 - 1.3 + 1.3 / 3), 0)
    assert estimate("numpy", "eager", 16) == (pytest.approx(11.3 - 1.3 + 1.3 / 3), 1)
    assert estimate("numpy", "other").likeness == 3
    assert estimate("fake", "works").likeness == 4
    assert Estimator([]).estimate(Job("m", 1, "b", "x", "cpu"), experiment, 1).likeness is None


def test_memory_is_the_most_that_the_most_similar_trials_of_the_backend_used(make, asked):
    experiment = asked(RIGHT).experiment

    def trial(repeat, batch_size=8, **memory):
        return make.trial(
            "numpy", "eager", repeat, model="tiny", batch_size=batch_size, threads=9, **memory
        )

    known = [
        trial(1, peak_memory_bytes=100, device_peak_memory_bytes=None),
        trial(2, peak_memory_bytes=120, device_peak_memory_bytes=7),
        trial(3, peak_memory_bytes=None, device_peak_memory_bytes=9),
        trial(1, batch_size=16, peak_memory_bytes=200),
    ]
    estimator = Estimator(known)

    def memory(backend, mode, batch_size=8):
        job = Job("tiny", batch_size, backend, mode, "cpu", threads=9)
        return estimator.memory(job, experiment)

    assert memory("numpy", "eager") == (120, 9)
    assert memory("numpy", "eager", 16).host == 200
    assert memory("numpy", "other").host == 200, "whatever the mode and the batch size"
    assert memory("fake", "works") == (None, None)
