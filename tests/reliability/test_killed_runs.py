"""A runner killed at fifty random moments: what was shown is kept, the rest is resumed."""

import json
import random
import re
import signal
import time

import pytest
from support.processes import none_left

from bench.records.reader import read_run

KILLS = 25  # of each half: fifty in all
TRIALS = 2
LONGEST = 3.5  # seconds: on a quiet machine a run of two trials and its report takes less


def killed(bench, out, moment):
    """Start the run or go on with it, and kill it; the lines that it showed, and its status."""
    with (bench.folder / "shown.txt").open("w+") as shown:
        process = bench.start("run", *arguments(bench, out), stdout=shown, stderr=shown)
        time.sleep(moment)
        process.send_signal(signal.SIGKILL)
        process.wait()
        shown.seek(0)
        return shown.read(), process.returncode


@pytest.mark.parametrize("half", [1, 2])
def test_killed_runs_resume_to_the_whole(bench, half):
    moments = random.Random(half)  # the same moments each time
    number = kills = 0
    while kills < KILLS:
        number += 1
        out = bench.folder / f"out-{number}"
        status = -signal.SIGKILL
        known: dict[str, dict] = {}
        while status != 0 and kills < KILLS:
            text, status = killed(bench, out, moments.uniform(0, LONGEST))
            assert "Traceback" not in text
            kills += status != 0
            known = after_the_kill(out, text, known)
        if status != 0:
            done = bench.run("run", *arguments(bench, out))
            assert done.returncode == 0, done.stderr
        run = read_run(out)
        assert {trial.trial for trial in run.trials} == {each.name for each in run.manifest.plan}
        assert len(run.trials) == TRIALS
        assert {trial.outcome for trial in run.trials} == {"ok"}
        assert (out / "report.html").exists()
    assert none_left(bench.folder)


def arguments(bench, out):
    """Of a run that goes on; of the same one from its start where it was killed before that."""
    if (out / "manifest.json").exists():
        return ["--resume", out]
    return [*bench.quick, "--backends", "fake", "--repeats", TRIALS, "--output", out]


def after_the_kill(out, text, known):
    """The records by trial: all that were shown are there, and those of before are unchanged."""
    if not (out / "trials.jsonl").exists():
        assert not re.search(r"^\[\d", text, re.MULTILINE)
        return known
    whole = (out / "trials.jsonl").read_bytes().rpartition(b"\n")[0]
    found = {record["trial"]: record for record in map(json.loads, whole.splitlines())}
    shown = re.findall(r"^\[\d+/\d+\] .*repeat (\d+): ", text, re.MULTILINE)
    assert {int(repeat) for repeat in shown} <= {record["repeat"] for record in found.values()}
    assert all(found[name] == record for name, record in known.items())
    return found
