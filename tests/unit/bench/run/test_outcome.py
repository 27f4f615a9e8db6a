"""The outcome and reason recorded for a worker that died."""

import pytest

from bench.run.outcome import verdict_of
from bench.run.worker_process import WorkerEnd
from bench.worker.protocol import PhaseBegan

HIT = 'Current thread 0x1 (most recent call first):\n  File "hit.py", line 1 in hit\n'
OTHER = 'Thread 0x2 (most recent call first):\n  File "other.py", line 2 in other\n'
MAIN = 'Thread 0x3 (most recent call first):\n  File "main.py", line 3 in main\n'


@pytest.mark.parametrize(
    ("stacks", "frame"),
    [
        (OTHER + HIT + MAIN, 'Aborted | File "hit.py", line 1 in hit'),
        (OTHER + MAIN, 'Aborted | File "main.py", line 3 in main'),
        ("", "Aborted"),
        ("Thread 0x3 (most recent call first):", "Aborted"),
    ],
    ids=["crashed thread", "main thread only", "no stack", "truncated"],
)
def test_the_reason_for_a_fatal_signal_names_the_innermost_frame(stacks, frame):
    end = WorkerEnd(-6, True, f"before\nFatal Python error: Aborted\n\n{stacks}", {})
    verdict = verdict_of([PhaseBegan("train")], end, 3)
    assert verdict.outcome == "timeout"
    assert verdict.reason == f"not done after 3 s, in phase train: {frame}"
