"""The DataFrame of trials: which trials form a contender, and which contenders a ranking."""

import msgspec
import pytest
from support.records import ranked

from bench.spec.job import Job
from reports.analysis.rankings import rankings_of
from reports.analysis.runs import read_sources
from reports.analysis.trials import CONTENDER, COORDINATES, trial_frame

OTHERS = {
    "batch_size": 128,
    "threads": 4,
    "world_size": 4,
    "hosts": 2,
    "environment": ("XLA_FLAGS=--a",),
}


def test_every_coordinate_of_a_job_distinguishes_contenders():
    assert set(COORDINATES) <= set(CONTENDER)
    assert len(CONTENDER) == len(set(CONTENDER))


@pytest.mark.parametrize("name", Job.__struct_fields__)
def test_a_ranking_contains_the_jobs_that_are_compared_with_each_other(make, name):
    one = make.trial()
    value = OTHERS.get(name, "other")
    job = msgspec.structs.replace(one.job, **{name: value})
    other = msgspec.structs.replace(one, job=job, trial="other")
    if name == "threads":  # the record states the number that the job may leave to the run
        other = msgspec.structs.replace(other, threads=value)
    rankings = ranked([one, other])
    is_compared = one.job.compared_with() == job.compared_with()
    assert len(rankings) == (1 if is_compared else 2)
    assert sum(len(ranking.contenders) for ranking in rankings) == 2


def test_a_label_names_the_environment(make):
    trials = [make.trial(), make.trial(environment=("A=1", "B=2"))]
    (ranking,) = ranked(trials)
    assert {c.label for c in ranking.contenders} == {"torch eager", "torch eager A=1; B=2"}


def test_trials_of_several_runs_keep_their_run_and_machine(make, tmp_path):
    machine = msgspec.structs.replace(make.MACHINE, memory_bytes=1)
    sources = read_sources(
        [
            make.store(tmp_path / "one", make.TRIALS),
            make.store(tmp_path / "two", make.TRIALS[:3], machine=machine),
        ]
    )
    frame = trial_frame(sources)
    assert frame.groupby("run").size().to_dict() == {"one": len(make.TRIALS), "two": 3}
    assert frame["machine"].unique().tolist() == ["bench-host", "bench-host (2)"]
    assert len(rankings_of(sources)) == 2


def test_a_number_too_large_for_its_column_is_unknown(make, tmp_path):
    trials = [make.trial(peak_memory_bytes=2**70), make.trial(repeat=2)]
    frame = trial_frame(read_sources([make.store(tmp_path / "run", trials)]))
    assert frame["peak_memory_bytes"].isna().tolist() == [True, False]
