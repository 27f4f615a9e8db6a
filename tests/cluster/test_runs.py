"""Complete runs over the nodes of a cluster, and the loss of parts of it."""

import re
import signal
import time

import psutil
import pytest
from support.command_line import finished, records, wait_for_output
from support.processes import started_here

from bench.records.reader import read_run

THREE_RANKINGS = ["--batch-sizes", "8,16,32", "--retries", "0"]
STEADY = ["--backends", "fake", "--modes", "steady", *THREE_RANKINGS]
HANGING = ["--backends", "fake", "--modes", "hangs", *THREE_RANKINGS, "--repeats", "1"]


@pytest.fixture
def resume(command, nodes, out):
    return lambda: command.run("run", "--resume", out, "--cluster", nodes.address)


def workers(command) -> list[str]:
    return [line for line in started_here(command.folder) if "bench.worker" in line]


def none_work(command, seconds=20) -> bool:
    deadline = time.monotonic() + seconds
    while workers(command):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def whole(out):
    """Return the run after checking that each trial of its plan has a record."""
    run = read_run(out)
    assert {trial.trial for trial in run.trials} == {each.name for each in run.manifest.plan}
    return run


def test_the_nodes_share_a_plan_and_return_every_record(command, start, out):
    done = finished(start(*THREE_RANKINGS, "--backends", "numpy,fake", "--repeats", "2"))
    assert done.returncode == 0, done.stderr
    run = whole(out)
    assert len(records(out)) == len(run.trials) == 12
    assert {trial.outcome for trial in run.trials} == {"ok"}
    assert all(trial.machine and trial.hardware_digest for trial in run.trials)
    assert {trial.threads for trial in run.trials} == {1}, "a node lends one CPU here"
    assert any("nodes of a Ray cluster" in note for note in run.manifest.notes)
    assert {each.trial for each in run.explanations} == {
        trial.trial for trial in run.trials if trial.repeat == 1
    }
    begun = dict(re.findall(r"(\S+): .*batch (\d+), .*: starting", done.stderr))
    assert len(begun) == 3, "every node had work"
    of_ranking = {}
    for node, batch in re.findall(r"(\S+): .*batch (\d+), .*: starting", done.stderr):
        of_ranking.setdefault(batch, set()).add(node)
    assert {len(each) for each in of_ranking.values()} == {1}, "a ranking is of one node"
    assert none_work(command)


def test_certificates_are_computed_on_the_nodes_and_stored_once(command, nodes, out):
    quick = [option for option in command.quick if option != "--no-verify"]
    options = [*quick, *THREE_RANKINGS, "--backends", "numpy", "--repeats", "1"]
    done = command.run("run", *options, "--cluster", nodes.address, "--output", out)
    assert done.returncode == 0, done.stderr
    run = whole(out)
    assert {trial.equivalence for trial in run.trials} == {"passed"}
    assert [(each.job.backend, each.job.model) for each in run.certificates] == [("numpy", "quick")]


def test_each_kind_of_machine_runs_the_whole_plan(start, resume, out):
    done = finished(start("--backends", "fake", "--repeats", "2", "--nodes", "each"))
    assert done.returncode == 0, done.stderr
    run = whole(out)
    (digest,) = {trial.hardware_digest for trial in run.trials}
    assert {each.job.place for each in run.manifest.plan} == {digest[:8]}
    assert all(f"-at{digest[:8]}-r" in trial.trial for trial in run.trials)
    again = resume()
    assert again.returncode == 0
    assert "2 records are still valid" in again.stderr
    assert len(records(out)) == 2


def test_repeats_are_added_until_the_time_is_spent(start, out):
    options = ["--time", "30s"]
    done = finished(start("--backends", "fake,numpy", *options))
    assert done.returncode == 0, done.stderr
    run = whole(out)
    assert run.manifest.time_limit.ended
    assert run.manifest.repeats >= 2


def test_two_drivers_alternate(command, nodes, start, out):
    first = start(*STEADY, "--repeats", "4")
    wait_for_output(first, "starting")
    other = command.folder / "other"
    cluster = ["--cluster", nodes.address, "--output", other]
    second = command.start("run", *command.quick, "--backends", "fake", *cluster)
    ends = finished(first), finished(second)
    assert [end.returncode for end in ends] == [0, 0], ends
    ended = {}
    for trial in whole(out).trials:
        ended[trial.job.batch_size] = max(ended.get(trial.job.batch_size, ""), trial.started_at)
    begun = min(trial.started_at for trial in whole(other).trials)
    assert begun >= min(ended.values()), "every node worked for the first when the second came"


def test_an_interrupt_records_the_running_trials_and_leaves_no_process(command, start, out):
    process = start(*HANGING)
    wait_for_output(process, ": starting", times=3)
    time.sleep(2)
    process.send_signal(signal.SIGINT)
    done = finished(process)
    assert done.returncode == 130
    made = records(out)
    assert [record["outcome"] for record in made] == ["interrupted"] * 3
    assert all(record["machine"] for record in made)
    assert all(record["import_seconds"] for record in made), "what was measured is kept"
    assert (out / "report.html").exists()
    assert "bench run --resume" in done.stderr
    assert none_work(command)


def test_a_killed_driver_resumes_on_the_cluster(command, start, resume, out):
    process = start(*STEADY, "--repeats", "3")
    wait_for_output(process, r"^\[", times=3)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    before = records(out)
    assert none_work(command), "trials end with the driver"
    done = resume()
    assert done.returncode == 0, done.stderr
    assert {trial.outcome for trial in whole(out).trials} == {"ok"}
    assert records(out)[: len(before)] == before
    assert len(records(out)) == 9
    alone = command.run("run", "--resume", out)
    assert alone.returncode == 2
    assert "add --cluster ADDRESS" in alone.stderr


def agents(command) -> list[psutil.Process]:
    """Return the processes whose worker is running a trial."""
    numbers = [int(line.split()[0]) for line in workers(command)]
    return [psutil.Process(number).parent() for number in numbers]


def test_a_trial_that_crashes_its_nodes_is_abandoned(command, start, out):
    process = start("--backends", "fake", "--modes", "hangs", "--repeats", "1")
    for _ in range(3):
        wait_for_output(process, ": starting")
        time.sleep(2)
        (agent,) = agents(command)
        agent.kill()
    done = finished(process)
    assert done.returncode == 3
    (record,) = records(out)
    assert record["outcome"] == "crashed"
    assert "lost 3 times" in record["reason"]
    assert record["import_seconds"], "measurements before the crash are recorded"
    assert none_work(command)


def test_no_trial_is_lost_when_a_node_dies(command, nodes, start, out):
    nodes.add()  # the one that dies
    try:
        process = start(*STEADY, "--batch-sizes", "4,8,16,32", "--repeats", "3")
        (name,) = wait_for_output(process, r"^(\S+): .*repeat 2: starting")
        nodes.kill(next(n for n in nodes.workers if n.node_id.startswith(name.partition("/")[2])))
        done = finished(process)
        assert done.returncode == 0, done.stderr
        assert f"{name}: lost: " in done.stderr
        (moved,) = re.findall(rf"{name}: (\S+) goes to another node", done.stderr)
        run = whole(out)
        assert {trial.outcome for trial in run.trials} == {"ok"}
        assert moved in {trial.trial for trial in run.trials}
        assert len(records(out)) == 12, "what was measured on it before is kept"
        assert none_work(command)
    finally:
        while len(nodes.workers) < 3:
            nodes.add()


def test_no_trial_is_lost_when_a_node_stops_responding(command, nodes, start, out):
    nodes.add()  # the one that falls silent
    try:
        process = start(*STEADY, "--batch-sizes", "4,8,16,32", "--repeats", "3")
        (name,) = wait_for_output(process, r"^(\S+): .*repeat 2: starting")
        silent = next(n for n in nodes.workers if n.node_id.startswith(name.partition("/")[2]))
        nodes.silence(silent)
        done = finished(process)  # Ray's health check takes a minute to give the node up
        assert done.returncode == 0, done.stderr
        assert f"{name}: lost: " in done.stderr
        assert {trial.outcome for trial in whole(out).trials} == {"ok"}
        assert len(records(out)) == 12, "what was measured on it before is kept"
    finally:
        nodes.kill(silent)
        while len(nodes.workers) < 3:
            nodes.add()


def refused(command, nodes, *options, program="from bench.cli import main"):
    arguments = ["run", *command.quick, "--backends", "fake", *options]
    code = f"import sys; {program}; sys.exit(main())"
    done = finished(command.start_python("-c", code, *arguments))
    assert done.returncode == 2, done.stderr
    return done.stderr


def test_invalid_cluster_options_are_rejected_with_a_message(command, nodes):
    assert "nothing answers at --cluster" in refused(command, nodes, "--cluster", "127.0.0.1:1")
    assert "is not an address: use auto, or host:port" in refused(
        command, nodes, "--cluster", "nonsense"
    )
    on_none = ["--cluster", nodes.address, "--accelerator-type", "H100"]
    assert "none of them with accelerator_type:H100" in refused(command, nodes, *on_none)
    nowhere = (
        "import bench.cluster.ray_nodes as r; r._CURRENT = r.Path('/nowhere')"
        "; from bench.cli import main"
    )
    told_early = refused(command, nodes, "--cluster", "auto", program=nowhere)
    assert "--cluster auto finds no cluster on this machine" in told_early
    without = ["--cluster", nodes.address, "--devices", "gpu"]
    assert "no node of the cluster lends device gpu:0" in refused(command, nodes, *without)
    older = "import ray; ray.__version__ = '1.0.0'; from bench.cli import main"
    told_by_ray = refused(command, nodes, "--cluster", nodes.address, program=older)
    assert "does not serve this Ray 1.0.0" in told_by_ray


def test_data_missing_on_every_node_is_reported_before_the_run(command, nodes, tmp_path):
    """The driver's folder exists when it is read, and is gone when the nodes look."""
    missing = tmp_path / "not there"
    text = refused(command, nodes, "--cluster", nodes.address, "--data-dir", missing)
    assert "no node of the cluster can run this" in text
    assert str(missing) in text
