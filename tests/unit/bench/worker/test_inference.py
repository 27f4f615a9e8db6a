"""Timing single predictions: the number of calls, their images and the percentiles."""

import numpy as np
import pytest

from bench.worker.inference import percentiles, timed_calls

IMAGES = np.arange(10, dtype=np.float32).reshape(10, 1)


def test_each_call_predicts_the_next_full_batch():
    seen = []
    seconds = timed_calls(lambda batch: seen.append(batch[:, 0].tolist()), IMAGES, 4, (3, 3))
    assert seen == [[0, 1, 2, 3], [4, 5, 6, 7], [0, 1, 2, 3]]
    assert seconds.shape == (3,)
    assert (seconds > 0).all()


@pytest.mark.parametrize(("allowed", "expected"), [(0.0, 5), (60.0, 50)])
def test_calls_are_limited_by_time_and_number(allowed, expected):
    assert len(timed_calls(lambda batch: None, IMAGES, 1, (5, 50), allowed)) == expected


def test_a_percentile_needs_a_minimum_number_of_calls():
    hundred = np.arange(1.0, 101.0)
    assert percentiles(hundred) == pytest.approx((50.5, 95.05, 99.01))
    assert percentiles(hundred[:99])[2] is None
    assert percentiles(hundred[:19])[1] is None
    assert percentiles(hundred[:1]) == (1.0, None, None)
