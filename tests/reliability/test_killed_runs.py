"""Kill a runner at fifty random moments: printed results are stored, the rest is resumed."""

import json
import random
import re
import signal
import time

import pytest
from support.processes import none_left

from bench.records.reader import read_run

KILLS = 25  # per half: fifty in total
TRIALS = 2
LONGEST = 3.5  # seconds: an idle machine completes two trials and the report in less


def run_until_killed(bench, out, moment):
    """Start or resume the run and kill it after `moment` seconds; return output and status."""
    with (bench.folder / "shown.txt").open("w+") as shown:
        process = bench.start("run", *start_or_resume(bench, out), stdout=shown, stderr=shown)
        time.sleep(moment)
        process.send_signal(signal.SIGKILL)
        process.wait()
        shown.seek(0)
        return shown.read(), process.returncode


@pytest.mark.parametrize("half", [1, 2])
def test_killed_runs_can_be_resumed_until_complete(bench, half):
    moments = random.Random(half)  # a fixed seed makes the moments reproducible
    number = kills = 0
    while kills < KILLS:
        number += 1
        out = bench.folder / f"out-{number}"
        status = -signal.SIGKILL
        known: dict[str, dict] = {}
        while status != 0 and kills < KILLS:
            text, status = run_until_killed(bench, out, moments.uniform(0, LONGEST))
            assert "Traceback" not in text
            kills += status != 0
            known = check_records(out, text, known)
        if status != 0:
            done = bench.run("run", *start_or_resume(bench, out))
            assert done.returncode == 0, done.stderr
        run = read_run(out)
        assert {trial.trial for trial in run.trials} == {each.name for each in run.manifest.plan}
        assert len(run.trials) == TRIALS
        assert {trial.outcome for trial in run.trials} == {"ok"}
        assert (out / "report.html").exists()
    assert none_left(bench.folder)


def start_or_resume(bench, out):
    """Return the options to resume the run, or to start it if no manifest was written."""
    if (out / "manifest.json").exists():
        return ["--resume", out]
    return [*bench.quick, "--backends", "fake", "--repeats", TRIALS, "--output", out]


def check_records(out, text, known):
    """Check that printed results are stored and earlier records unchanged; return all records."""
    if not (out / "trials.jsonl").exists():
        assert not re.search(r"^\[\d", text, re.MULTILINE)
        return known
    whole = (out / "trials.jsonl").read_bytes().rpartition(b"\n")[0]
    found = {record["trial"]: record for record in map(json.loads, whole.splitlines())}
    shown = re.findall(r"^\[\d+/\d+\] .*repeat (\d+): ", text, re.MULTILINE)
    assert {int(repeat) for repeat in shown} <= {record["repeat"] for record in found.values()}
    assert all(found[name] == record for name, record in known.items())
    return found
