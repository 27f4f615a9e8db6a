"""Which workers measure peak rates and make certificates, and what a crash costs."""

import subprocess
import sys
import time

import msgspec
import pytest
from support.scripted import Answer, ScriptedExecutor, answer_to

from backends.api import Recipe
from backends.registry import recipes
from bench.run.certificates import CertificateSettings, cached_certificates
from bench.run.decode import Seconds
from bench.run.examiner import Examiner, certificates_in, peak_rates_in
from bench.run.executor import LocalExecutor
from bench.run.peak_rates import PeakRateSettings, WantedRates
from bench.run.worker_process import Worker, event_pipe
from bench.spec.job import Job
from bench.spec.layers import Dense, Flatten, sequential
from bench.spec.training import Sgd
from bench.worker.protocol import CheckBegan, ModelCheck, Rates, encode

CHECK = ModelCheck(sequential(Flatten(), Dense(3)), (4, 4, 1), {"SGD": Sgd(learning_rate=1e-4)})
ON_FAKE = Recipe(
    name="onfake",
    title="On the fake",
    requirements=("evenbench-fake>=1",),
    modes=("works",),
    default_modes=("works",),
    adapter="evenbench_fake.session:FakeBackend",
    engine="fake",
)


@pytest.fixture(autouse=True)
def fake(plugin):
    """Install the fake backend."""


def settings(folder, timeout=60.0):
    known = {**recipes(), ON_FAKE.name: ON_FAKE}
    return CertificateSettings(
        recipes=known,
        framework_versions=dict.fromkeys(known, "1.0"),
        models={"one": CHECK, "two": CHECK},
        threads=1,
        cpus=(),
        timeout=timeout,
        processor="a processor",
        cache=folder,
    )


def job(mode="works", model="one", backend="fake", **changes):
    return Job(model, 0, backend, mode, "cpu", **changes)


def rates(recipe, folder, device="cpu", threads=1):
    return WantedRates(recipe, "1.0", device, PeakRateSettings(threads, (), folder, 60.0))


def work(executor):
    """What each worker does: whether it measures peak rates, and what it certifies."""
    return [
        (task.peak_rates, " ".join(f"{each.mode}/{each.model}" for each in task.jobs))
        for task in executor.tasks
    ]


def examine(executor, folder, wanted, jobs, **changes):
    """The results, and what was announced."""
    announced = []
    examiner = Examiner(executor, announced.append, announced.append, settings(folder, **changes))
    return list(examiner.results(wanted, jobs)), announced


def reasons(results):
    return {f"{each.job.mode}/{each.job.model}": each.error for each in certificates_in(results)}


def test_one_worker_measures_the_peak_rate_and_certifies_all_contenders_of_a_backend(tmp_path):
    jobs = [job(mode, model) for model in ("one", "two") for mode in ("works", "steady")]
    executor = ScriptedExecutor()
    results, announced = examine(executor, tmp_path, [rates(recipes()["fake"], tmp_path)], jobs)
    assert work(executor) == [(True, "works/one works/two steady/one steady/two")]
    assert [each.job for each in certificates_in(results)] == [jobs[0], jobs[2], jobs[1], jobs[3]]
    assert announced == [
        "measuring the peak rate of fake on cpu",
        *(each.job for each in certificates_in(results)),
    ]
    again, announced = examine(executor, tmp_path, [rates(recipes()["fake"], tmp_path)], jobs)
    assert set(reasons(again)) == set(reasons(results))
    assert peak_rates_in(again) == peak_rates_in(results)
    assert (len(executor.tasks), announced) == (1, []), "all of it is cached"


def test_contenders_that_start_or_run_differently_have_workers_of_their_own(tmp_path):
    jobs = [
        job(),
        job("steady", precision="float64"),
        job(environment=("A=1",)),
        job("steady", environment=("A=1",)),
        job(world_size=2),
        job(backend="numpy"),
        job(world_size=2, hosts=2),
        job("steady", world_size=2, hosts=2),
        msgspec.structs.replace(job(), device="gpu:0"),
    ]
    wanted = [rates(recipes()["fake"], tmp_path, threads=threads) for threads in (1, 2)]
    executor = ScriptedExecutor()
    examine(executor, tmp_path, wanted, jobs)
    assert [(task.peak_rates, task.threads, task.jobs) for task in executor.tasks] == [
        (True, 1, tuple(jobs[:2])),
        (True, 2, ()),
        (False, 1, tuple(jobs[2:4])),
        (False, 1, (jobs[4],)),
        (False, 1, (jobs[5],)),
        (False, 1, (jobs[6],)),
        (False, 1, (jobs[7],)),
        (False, 1, (jobs[8],)),
    ]


def ends_at(mode, exit_status=-11, **how):
    """Let a worker end when it begins to check the contender in this mode."""

    def answer(task):
        events = list(answer_to(task).events)
        for number, event in enumerate(events):
            if isinstance(event, CheckBegan) and event.job.mode == mode:
                return Answer(tuple(events[: number + 1]), exit_status, **how)
        return Answer(tuple(events))

    return answer


def test_a_crash_costs_the_certificates_of_one_contender(tmp_path):
    jobs = [job(mode, model) for mode in ("works", "killed", "steady") for model in ("one", "two")]
    executor = ScriptedExecutor(usual=ends_at("killed"))
    results, _ = examine(executor, tmp_path, [rates(recipes()["fake"], tmp_path)], jobs)
    assert work(executor) == [
        (True, "works/one works/two killed/one killed/two steady/one steady/two"),
        (False, "steady/one steady/two"),
    ]
    found = reasons(results)
    assert {name for name, reason in found.items() if not reason} == {
        *("works/one", "works/two", "steady/one", "steady/two")
    }
    assert found["killed/one"] == found["killed/two"]
    assert "killed by SIGSEGV" in found["killed/one"]
    assert not peak_rates_in(results)[0].error
    cached = cached_certificates(jobs, settings(tmp_path))
    assert cached == {each for each in jobs if each.mode != "killed"}, "the next run tries again"


def test_each_contender_has_the_whole_time_limit(tmp_path):
    jobs = [job("works"), job("works", "two"), job("hangs"), job("steady")]
    executor = ScriptedExecutor(usual=ends_at("hangs", timed_out=True))
    results, _ = examine(executor, tmp_path, [], jobs, timeout=Seconds(7))
    assert "not done after 7 s" in reasons(results)["hangs/one"]
    sent = [msgspec.json.decode(encode(task)) for task in executor.tasks]
    assert [message["contender_seconds"] for message in sent] == [7.0, 7.0]


def test_a_framework_that_cannot_be_imported_is_started_once(tmp_path):
    broken = recipes()["broken"]
    jobs = [job("works", model, backend="broken") for model in ("one", "two")]
    executor = ScriptedExecutor()
    results, _ = examine(executor, tmp_path, [rates(broken, tmp_path)], jobs)
    assert len(executor.tasks) == 1
    everything = [*reasons(results).values(), peak_rates_in(results)[0].error]
    assert len(everything) == 3
    assert all("cannot be imported" in reason for reason in everything)


def test_peak_rates_that_cannot_be_measured_cost_no_certificate(tmp_path):
    def out_of_memory(task):
        events = answer_to(task).events
        if not task.peak_rates:
            return Answer(events)
        number = next(i for i, event in enumerate(events) if isinstance(event, Rates))
        return Answer(events[:number], -9)

    executor = ScriptedExecutor(usual=out_of_memory)
    results, _ = examine(executor, tmp_path, [rates(recipes()["fake"], tmp_path)], [job()])
    assert work(executor) == [(True, "works/one"), (False, "works/one")]
    assert "SIGKILL" in peak_rates_in(results)[0].error
    assert reasons(results) == {"works/one": ""}


def test_nothing_is_certified_on_a_device_that_the_framework_does_not_see(tmp_path):
    jobs = [
        msgspec.structs.replace(each, device="gpu:3")
        for each in (job(), job("steady"), job(environment=("A=1",)))
    ]
    executor = ScriptedExecutor()
    wanted = [rates(recipes()["fake"], tmp_path, device="gpu:3")]
    results, _ = examine(executor, tmp_path, wanted, jobs)
    assert len(executor.tasks) == 1
    (only,) = results
    assert only.absent


def test_backends_on_one_engine_share_its_peak_rates(tmp_path):
    wanted = [rates(recipes()["fake"], tmp_path), rates(ON_FAKE, tmp_path)]
    executor = ScriptedExecutor()
    results, announced = examine(executor, tmp_path, wanted, [job(backend="onfake")])
    assert work(executor) == [(True, ""), (False, "works/one")]
    first, second = peak_rates_in(results)
    assert (first.backend, second.backend) == ("fake", "onfake")
    assert second.matrix_flops_per_second == first.matrix_flops_per_second
    assert announced[0] == "measuring the peak rate of fake on cpu"
    examine(executor, tmp_path, [rates(recipes()["fake"], tmp_path)], [])
    assert len(executor.tasks) == 2, "the next command finds them in the cache"


def test_peak_rates_of_an_engine_are_measured_by_a_backend_that_can(tmp_path):
    def fails_once(task):
        ended = Answer(answer_to(task).events[:3], -9)
        return ended if len(executor.tasks) == 1 else answer_to(task)

    executor = ScriptedExecutor(usual=fails_once)
    wanted = [rates(recipes()["fake"], None), rates(ON_FAKE, None)]
    results, _ = examine(executor, None, wanted, [])
    assert [bool(each.error) for each in peak_rates_in(results)] == [True, False]


def test_what_was_made_before_an_interrupt_is_cached(tmp_path):
    executor = ScriptedExecutor(usual=ends_at("steady", interrupt=True))
    wanted, jobs = [rates(recipes()["fake"], tmp_path)], [job(), job("steady")]
    with pytest.raises(KeyboardInterrupt):
        examine(executor, tmp_path, wanted, jobs)
    executor = ScriptedExecutor()
    examine(executor, tmp_path, wanted, jobs)
    assert work(executor) == [(False, "steady/one")]


@pytest.mark.process
def test_real_workers_continue_after_a_contender_that_hangs_crashes_or_raises(tmp_path):
    modes = ("nan", "hangs", "infinite", "killed", "raises", "unsupported", "works")
    jobs = [job(mode) for mode in modes]
    results, _ = examine(LocalExecutor(), tmp_path, [], jobs, timeout=4.0)
    found = {each.job.mode: each for each in certificates_in(results)}
    assert tuple(found) == modes
    assert "not done after 4 s" in found["hangs"].error
    assert "SIGKILL" in found["killed"].error
    assert "the fake framework gives up" in found["raises"].error
    assert found["unsupported"].is_unsupported
    for mode in ("nan", "infinite", "works"):
        assert found[mode].checks, "it trains nothing, so they fail"


@pytest.mark.process
@pytest.mark.parametrize(("limit", "times_out"), [(60.0, False), (None, True)])
def test_a_check_with_its_own_time_limit_moves_the_deadline(tmp_path, limit, times_out):
    line = encode(CheckBegan(job(), limit))
    with event_pipe() as (reading, writing):
        script = f"import os, time; os.write({writing}, {line!r}); time.sleep(3)"
        process = subprocess.Popen(
            [sys.executable, "-c", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=(writing,),
            start_new_session=True,
        )
    worker, events = Worker(process, reading), []
    try:
        assert worker.follow(time.monotonic() + 2, events.append) == times_out
    finally:
        worker.kill(tmp_path)
    assert events == [CheckBegan(job(), limit)]
