"""The lines that a run prints about its trials."""

from bench.cli.progress import ended
from bench.spec.job import Trial


def line(record):
    return ended(Trial(record.job, record.seed, record.repeat), record)


def test_a_line_names_throughput_and_accuracy(make):
    assert line(make.trial()).endswith("repeat 1: 100,000 images/s, accuracy 0.9750")


def test_a_trial_that_left_epochs_out_has_a_line_without_accuracy(make):
    record = make.in_rounds("torch", "eager", 2, [1000] * 4, **make.WARM)
    assert line(record).endswith("repeat 2: 1,000 images/s")
