"""The runner: the record of each trial, the order of trials, and interrupts.

Workers are scripted, or work in the test's process, where a process is not the point. What can
kill a real worker is in tests/reliability.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import msgspec
import psutil
import pytest
from support.idx_files import write_tiny
from support.plugin import install_plugin
from support.scripted import BUSY, Answer, ScriptedExecutor, trained
from support.worker_here import WorkerHere

from backends.registry import recipes
from bench.data.prepare import prepare
from bench.records.manifest import ModelFacts
from bench.records.reader import read_run
from bench.records.trial import TimeToAccuracy
from bench.records.writer import RunFolder
from bench.run.examiner import Examiner
from bench.run.executor import LocalExecutor
from bench.run.experiment import Experiment
from bench.run.launch import CACHE_VARIABLES
from bench.run.peak_rates import PeakRates, PeakRateSettings, WantedRates
from bench.run.runner import TrialRunner
from bench.spec.job import FEEDS, Job, Trial
from bench.spec.layers import Dense, Flatten, sequential
from bench.spec.training import Sgd
from bench.worker.protocol import EpochEnded, PhaseBegan

LAYER = sequential(Flatten(), Dense(3))


class Silent:
    def __init__(self):
        self.events = []
        self.disturbed = []

    def check_began(self, job):
        pass

    def trial_began(self, trial):
        pass

    def trial_event(self, trial, event):
        self.events.append(event)

    def trial_disturbed(self, trial, record):
        self.disturbed.append(record)

    def trial_ended(self, trial, record):
        pass


@pytest.fixture
def experiment(plugin, tiny_data, steady_canary):
    return experiment_on(tiny_data)


def experiment_on(folder):
    return Experiment(
        models={"tiny": ModelFacts(LAYER, 93, 90)},
        recipes=recipes(),
        framework_versions={"numpy": "2", "fake": "1.0", "broken": "1.0", "torch": None},
        dataset="tiny",
        data=prepare(folder).folder,
        optimizer=Sgd(),
        epochs=2,
        train_samples=None,
        threads=1,
        cpus=(),
        timeout=60,
    )


def trial(mode, backend="fake", repeat=1, device="cpu"):
    return Trial(Job("tiny", 16, backend, mode, device), seed=0, repeat=repeat)


class SmallPredictions(WorkerHere):
    """Classifies the tiny data set's 20 test images in four predictions."""

    def run(self, task, *arguments):
        return super().run(msgspec.structs.replace(task, evaluation_batch=5), *arguments)


def run(experiment, folder, *trials, observer=None, executor=None, **changes):
    experiment = msgspec.structs.replace(experiment, **changes)
    executor = executor or ScriptedExecutor()
    with RunFolder(folder) as opened:
        return list(TrialRunner(experiment, executor, opened, observer or Silent()).run(trials))


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """Run one trial in a real worker and return its record and events."""
    folder, observer = tmp_path_factory.mktemp("real"), Silent()
    with pytest.MonkeyPatch.context() as patch:
        install_plugin(patch)
        patch.setenv("EVENBENCH_CACHE", str(folder / "cache"))
        experiment = experiment_on(write_tiny(folder / "tiny"))
        (record,) = run(
            experiment,
            folder / "run",
            trial("works"),
            observer=observer,
            executor=LocalExecutor(),
        )
    return SimpleNamespace(record=record, events=observer.events)


@pytest.mark.process
def test_the_record_of_a_real_worker_is_complete(real):
    record = real.record
    assert (record.outcome, record.reason) == ("ok", None)
    assert record.framework_version == "1.0"
    assert record.versions == {"fake": "1.0+imported"}
    assert len(record.per_epoch) == 2
    assert record.per_epoch[0].images == 64
    assert record.final_train_loss == 1.0
    # The fake always predicts class 0; 7 of the 20 test labels are 0.
    assert record.test_accuracy == 7 / 20
    assert record.device_peak_memory_bytes == 12345
    assert record.peak_memory_bytes >= record.baseline_memory_bytes > 10_000_000
    phases = [event.phase for event in real.events if isinstance(event, PhaseBegan)]
    assert phases == ["import", "data", "build", "compile", "inference"]
    assert record.import_seconds > 0
    assert record.variables["FAKE_VARIABLE"] == "set by the recipe"
    assert record.variables["FAKE_COLD"] == "1"
    assert record.variables["OMP_NUM_THREADS"] == "1"
    caches = {record.variables[name] for name in CACHE_VARIABLES}
    assert len(caches) == 1, "all compilers use one cache folder per trial"
    assert not Path(caches.pop()).exists(), "deleted after the trial"


@pytest.mark.process
def test_prediction_is_timed_separately_from_training(real):
    record = real.record
    found = record.inference
    assert 0 < found.latency_p50_seconds <= found.latency_p95_seconds <= found.latency_p99_seconds
    assert found.latency_calls == 1000
    assert found.throughput_batch_size == 20, "the test images are fewer than a batch"
    assert found.throughput_images_per_second > 0
    assert 0 < found.compile_seconds < found.seconds
    assert record.train_seconds == sum(epoch.seconds for epoch in record.per_epoch)


@pytest.mark.process
def test_cold_start_is_the_time_from_process_start_to_first_step(real):
    record = real.record
    phases = record.import_seconds + record.data_seconds + record.build_seconds
    assert record.cold_start_seconds > phases
    assert record.import_seconds > 0.02, "no interpreter starts and loads NumPy in less"
    assert record.cold_start_seconds < record.wall_seconds + 0.02, "the kernel's clock ticks"


def test_training_stops_at_the_requested_accuracy(experiment, tmp_path):
    # The fake's accuracy is 0.35 after every epoch.
    (record,) = run(
        experiment, tmp_path / "run", trial("works"), executor=WorkerHere(), until_accuracy=0.3
    )
    assert (record.outcome, record.until_accuracy, len(record.per_epoch)) == ("ok", 0.3, 1)
    seconds = record.per_epoch[0].seconds
    assert record.time_to_accuracy == TimeToAccuracy(0.3, True, seconds, 1)


def test_time_to_an_unreached_accuracy_is_censored_after_all_epochs(experiment, tmp_path):
    (record,) = run(
        experiment, tmp_path / "run", trial("works"), executor=WorkerHere(), until_accuracy=0.5
    )
    assert (record.outcome, len(record.per_epoch)) == ("ok", 2)
    assert record.time_to_accuracy == TimeToAccuracy(0.5, False, record.train_seconds, 2)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {"precision": "bfloat16"},
            "Fake does not support precision 'bfloat16' on cpu; it supports float32",
        ),
        ({"input": "pipeline"}, "Fake does not support input 'pipeline'; it supports resident"),
    ],
)
def test_options_that_a_recipe_does_not_list_are_unsupported_without_starting_a_worker(
    experiment, tmp_path, changes, reason
):
    observer = Silent()
    job = Job("tiny", 16, "fake", "works", "cpu", **changes)
    (record,) = run(experiment, tmp_path / "run", Trial(job, seed=0, repeat=1), observer=observer)
    assert (record.outcome, record.reason) == ("unsupported", reason)
    assert {name: getattr(record.job, name) for name in changes} == changes
    assert observer.events == []


def test_a_record_describes_the_load_on_the_machine(plugin, tiny_data, tmp_path):
    experiment = experiment_on(tiny_data)  # with the real canary
    (record,) = run(experiment, tmp_path / "run", trial("steady"), executor=WorkerHere())
    noise = record.noise
    assert noise.canary_before_seconds > 0
    assert noise.canary_after_seconds > 0
    assert noise.train_cpu_seconds < record.train_seconds  # it sleeps
    assert noise.train_involuntary_switches >= 0
    assert record.limit is None  # no operation count was given for this model


@pytest.mark.parametrize("mode", ["early", "dispatches"])
def test_a_clock_that_stops_before_the_work_is_done_is_detected(experiment, tmp_path, mode):
    """The first prediction waits for unfinished training work."""
    (record,) = run(experiment, tmp_path / "run", trial(mode), executor=SmallPredictions())
    assert record.leftover_seconds > 0.1
    if not record.noise.flags:  # disturbed trials are not checked
        assert record.outcome == "mistimed"
        assert "clock stopped too early" in record.reason


def test_a_clock_that_waits_for_the_work_leaves_none_unfinished(experiment, tmp_path):
    (record,) = run(experiment, tmp_path / "run", trial("steady"), executor=SmallPredictions())
    assert record.outcome == "ok"
    assert record.leftover_seconds < record.per_epoch[0].seconds / 2


def test_throughput_excludes_the_first_epoch(experiment, tmp_path):
    class Slower(ScriptedExecutor):
        """Reports 2 s for the first epoch and 0.5 s for the others, with 64 images each."""

        def run(self, task, launch, timeout, on_event):
            def slowed(event):
                if isinstance(event, EpochEnded):
                    seconds = 2.0 if event.epoch == 1 else 0.5
                    event = msgspec.structs.replace(event, seconds=seconds)
                on_event(event)

            return super().run(task, launch, timeout, slowed)

    (record,) = run(experiment, tmp_path / "run", trial("works"), executor=Slower())
    assert record.throughput_images_per_second == 64 / 0.5


@pytest.mark.parametrize(
    ("mode", "outcome", "reason"),
    [
        ("raises", "failed", "RuntimeError: the fake framework gives up"),
        ("killed", "crashed", "after phase compile, killed by SIGKILL"),
        ("hangs", "timeout", "not done after 60 s, after phase compile"),
        ("unsupported", "unsupported", "0.flatten"),
    ],
)
def test_a_fault_affects_only_its_own_record(experiment, tmp_path, mode, outcome, reason):
    first, second = run(experiment, tmp_path / "run", trial(mode), trial("works"))
    assert first.outcome == outcome
    assert reason in first.reason
    assert second.outcome == "ok"
    assert first.import_seconds > 0, "measurements before the fault are recorded"


def test_a_worker_that_cannot_be_started_affects_only_its_own_record(experiment, tmp_path):
    none = Answer((), exit_status=None, start_error="no process: Resource busy")
    executor = ScriptedExecutor([none])
    folder = tmp_path / "run"
    first, second = run(
        experiment, folder, trial("works"), trial("works", repeat=2), executor=executor
    )
    assert first.outcome == "failed"
    assert "could not be started: no process: Resource busy" in first.reason
    assert second.outcome == "ok"


def test_trials_run_in_the_order_of_the_plan(experiment, tmp_path):
    executor = ScriptedExecutor()
    planned = [trial("works", repeat=repeat) for repeat in (3, 1, 2)]
    records = run(experiment, tmp_path / "run", *planned, executor=executor)
    assert [record.repeat for record in records] == [3, 1, 2]
    assert [task.explain for task in executor.trained] == [False, True, False]


def test_a_disturbed_trial_is_retried_before_the_next_one(experiment, tmp_path, scripted):
    class BusyOnce(ScriptedExecutor):
        """Reports other processes on the CPUs in the first attempt of the first trial."""

        def run(self, task, *arguments):
            if not self.trained:
                self.answers = [trained(task, usage=BUSY)]
            return super().run(task, *arguments)

    executor, observer = BusyOnce(), Silent()
    planned = [trial("works", repeat=repeat) for repeat in (1, 2)]
    records = run(
        experiment, tmp_path / "run", *planned, executor=executor, observer=observer, retries=1
    )
    assert [record.repeat for record in records] == [1, 2]
    assert [task.explain for task in executor.trained] == [True, True, False]
    assert len(observer.disturbed) == 1
    assert [len(record.noise.attempts) for record in records] == [1, 0]


def test_a_framework_that_is_not_installed_is_unavailable(experiment, tmp_path):
    (record,) = run(experiment, tmp_path / "run", trial("eager", backend="torch"))
    assert record.outcome == "unavailable"
    assert "python -m pip install 'torch==" in record.reason


@pytest.mark.process
def test_peak_rates_report_a_device_that_the_framework_does_not_see(plugin):
    setting = PeakRateSettings(threads=1, cpus=(), cache=None)
    wanted = [WantedRates(recipes()["numpy"], "2", device, setting) for device in ("cpu", "gpu:0")]
    there, absent = Examiner(LocalExecutor(), lambda line: None).results(wanted, [])
    assert (there.absent, there.error) == (False, "")
    assert absent.absent
    assert absent.error == "device gpu:0: the framework sees cpu"


@pytest.mark.process
def test_no_worker_starts_for_a_device_known_to_be_absent(experiment, tmp_path):
    limits = (
        PeakRates(
            backend="fake",
            framework_version=None,
            device=device,
            threads=1,
            error=f"device {device}: not seen by the peak-rate worker",
            absent=absent,
        )
        for device, absent in (("gpu:3", True), ("gpu:4", False))
    )
    planned = [trial("works", device=device) for device in ("gpu:3", "gpu:4", "cpu")]
    folder, executor = tmp_path / "run", LocalExecutor()
    known, unknown, works = run(
        experiment, folder, *planned, peak_rates=tuple(limits), executor=executor
    )
    assert (known.outcome, known.exit_status) == ("unsupported", None)
    assert known.reason == "device gpu:3: not seen by the peak-rate worker"
    assert (unknown.outcome, unknown.reason) == (
        "unsupported",
        "device gpu:4: the framework sees gpu:0, cpu",
    )
    assert works.outcome == "ok"


def test_a_record_is_written_as_soon_as_its_trial_ends(experiment, tmp_path):
    lengths = []

    class Reader(Silent):
        def trial_ended(self, trial, record):
            lengths.append((tmp_path / "run" / "trials.jsonl").read_text().count("\n"))

    run(experiment, tmp_path / "run", trial("works"), trial("raises"), observer=Reader())
    assert lengths == [1, 2]


def test_an_interrupt_records_the_current_trial_and_ends_the_run(experiment, tmp_path):
    class Interrupter(Silent):
        def trial_event(self, trial, event):
            if trial.job.mode == "hangs" and event == PhaseBegan("compile"):
                os.kill(os.getpid(), signal.SIGINT)

    records = run(
        experiment,
        tmp_path / "run",
        trial("works"),
        trial("hangs"),
        trial("works", repeat=2),
        observer=Interrupter(),
    )
    assert [record.outcome for record in records] == ["ok", "interrupted"]
    assert records[1].data_seconds > 0


@pytest.mark.process
def test_no_worker_outlives_a_killed_runner(plugin, tiny_data, tmp_path):
    command = [sys.executable, "-m", "bench", "run", "--backends", "fake", "--modes", "hangs"]
    options = ["--data-dir", str(tiny_data), "--models", "tiny.py:tiny", "--batch-sizes", "16"]
    (tmp_path / "tiny.py").write_text(
        "from bench.spec.layers import *\n"
        "def tiny(classes): return sequential(Flatten(), Dense(classes))\n"
    )
    runner = subprocess.Popen([*command, *options], cwd=tmp_path, stderr=subprocess.DEVNULL)
    try:
        worker = _first_child(runner.pid)
    finally:
        runner.kill()
        runner.wait()
    _, alive = psutil.wait_procs([worker], timeout=10)
    assert not alive


def _first_child(pid):
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        children = psutil.Process(pid).children()
        if children:
            return children[0]
        time.sleep(0.05)
    raise AssertionError("the runner started no worker")


def test_a_folder_with_predictions_but_no_manifest_is_neither_read_nor_overwritten(
    experiment, tmp_path
):
    from bench.errors import RecordError

    run(experiment, tmp_path / "run", trial("works"), executor=WorkerHere())
    with pytest.raises(RecordError, match=r"manifest\.json"):
        read_run(tmp_path / "run")
    with pytest.raises(RecordError, match=r"contains explanations\.jsonl"):
        RunFolder(tmp_path / "run")


def test_numpy_learns_the_same_from_resident_and_pipeline_input(experiment, tmp_path):
    jobs = [Job("tiny", 16, "numpy", "eager", "cpu", input=feed) for feed in FEEDS]
    planned = [Trial(job, seed=3, repeat=1) for job in jobs]
    records = run(experiment, tmp_path / "run", *planned, executor=WorkerHere(), epochs=3)
    assert [record.job.input for record in records] == ["resident", "pipeline"]
    resident, pipeline = ([epoch.mean_loss for epoch in each.per_epoch] for each in records)
    assert resident == pipeline
    assert resident[-1] < resident[0]
