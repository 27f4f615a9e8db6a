"""What the page's script works with: the rankings as numbers, and how to write and order them.

Everything the script shows comes from here; it computes only what depends on the reader's choices.
"""

import math
from collections.abc import Sequence
from typing import Any

from reports.analysis.contenders import Contender, Curve
from reports.analysis.rankings import Ranking
from reports.analysis.scaling import Sweep, sweeps_of
from reports.analysis.slices import MOST_SLICES, Timeline, Track, timeline_of
from reports.figures.palette import LINES, styles
from reports.metrics import METRICS, PHASES, RANKED, Metric

# Charts above these are aggregated: trials of a contender to their range, epochs to every nth.
MOST_TRIALS = 200
MOST_EPOCHS = 200
MOST_CONTENDERS = 300

# Chosen first, if all three are there: a ranking is of one model on one device.
_FILTERS = ("model", "device", "batch_size")


def payload_of(rankings: Sequence[Ranking]) -> dict[str, Any]:
    """Return the rankings, metrics and choices as plain values for JSON."""
    return {
        "metrics": [_metric(metric) for metric in METRICS],
        "ranked": [metric.key for metric in RANKED],
        "phases": [metric.key for metric in PHASES],
        "choices": _choices(rankings),
        "rankings": [_ranking(ranking) for ranking in rankings],
        "sweeps": [_sweep(sweep) for sweep in sweeps_of(rankings)],
        "slices": [
            _slices(timeline_of(ranking.measured[:MOST_CONTENDERS], MOST_SLICES))
            for ranking in rankings
        ],
        "most_trials": MOST_TRIALS,
    }


def _metric(metric: Metric) -> dict[str, Any]:
    return {
        "key": metric.key,
        "title": metric.title,
        "unit": metric.unit,
        "direction": metric.direction,
        "meaning": metric.meaning,
        "kind": metric.write.kind,
        "digits": metric.write.digits,
        "scale": metric.write.scale,
    }


def _choices(rankings: Sequence[Ranking]) -> list[dict[str, Any]]:
    """Return the fields by which a reader selects a ranking.

    They are the usual three, and those that differ between rankings of one model and device: a
    spec follows from its model.
    """
    keys = dict.fromkeys(key for ranking in rankings for key in ranking.choices)
    made = []
    for key in keys:
        values = list(dict.fromkeys(ranking.choices[key] for ranking in rankings))
        pairs = {(r.choices["model"], r.choices["device"]) for r in rankings}
        triples = {(r.choices["model"], r.choices["device"], r.choices[key]) for r in rankings}
        if key in _FILTERS or len(triples) > len(pairs):
            title = key.replace("_", " ").capitalize()
            made.append({"key": key, "title": title, "values": values})
    return made


def _ranking(ranking: Ranking) -> dict[str, Any]:
    drawn, ranks = ranking.measured[:MOST_CONTENDERS], ranking.family.ranks
    return {
        "title": ranking.title,
        "setting": ranking.setting,
        "choices": dict(ranking.choices),
        "contenders": [
            _contender(contender, colour, LINES.index(line))
            | {"rank": ranks[place] if place < len(ranks) else None}
            for place, (contender, (colour, line)) in enumerate(
                zip(drawn, styles(drawn), strict=True)
            )
        ],
    }


def _contender(contender: Contender, colour: str, turn: int) -> dict[str, Any]:
    throughputs = contender.throughputs
    return {
        "label": contender.label,
        "backend": contender.backend,
        "mode": contender.mode,
        "comparable": contender.is_comparable,
        "repeats": contender.repeats,
        "colour": colour,
        "turn": turn,
        "values": {metric.key: _three(contender, metric) for metric in METRICS},
        # Where it differs from `repeats`: the trials in which a metric is known.
        "known": {
            metric.key: number
            for metric in METRICS
            if 0 < (number := contender.known(metric)) < contender.repeats
        },
        "trials": list(throughputs) if len(throughputs) <= MOST_TRIALS else [],
        "curve": _curve(contender.curve),
    }


def _three(contender: Contender, metric: Metric) -> list[float | None] | None:
    """Return value, minimum and maximum; None if the value is unknown."""
    spread = contender[metric]
    if not math.isfinite(spread.value):
        return None
    return [spread.value, spread.minimum, spread.maximum]


def _curve(curve: Curve) -> dict[str, list[float | None]]:
    """Return at most `MOST_EPOCHS` epochs, evenly spaced, including the last one."""
    epochs = len(curve.seconds)
    every = max(1, math.ceil(epochs / MOST_EPOCHS))
    places = [place for place in range(epochs) if (epochs - 1 - place) % every == 0]
    return {
        "epochs": [place + 1 for place in places],
        "seconds": [curve.seconds[place] for place in places],
        "accuracy": [_known(curve.accuracies[place]) for place in places],
        "loss": [_known(curve.losses[place]) for place in places],
    }


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _slices(timeline: Timeline | None) -> dict[str, Any] | None:
    """Return the timeline, with disturbances by their position in a list: it has many slices."""
    if timeline is None:
        return None
    flags = sorted({dot.flags for track in timeline.tracks for dot in track.dots})
    return {
        "reach": timeline.reach,
        "spans": timeline.spans,
        "flags": flags,
        "tracks": [_track(track, flags) for track in timeline.tracks],
    }


def _track(track: Track, flags: Sequence[str]) -> dict[str, Any]:
    return {
        "middle": _known(track.middle),
        "dots": [
            (round(dot.minutes, 3), _rounded(dot.rate), dot.span, dot.round, flags.index(dot.flags))
            for dot in track.dots
        ],
    }


def _rounded(rate: float) -> float:
    """Return the rate as short as a reader needs it."""
    value = float(f"{rate:.4g}")
    return int(value) if value.is_integer() else value


def _sweep(sweep: Sweep) -> dict[str, Any]:
    return {
        "key": sweep.key,
        "values": list(sweep.values),
        "rankings": list(sweep.rankings),
        "series": {
            label: [spread and [spread.value, spread.minimum, spread.maximum] for spread in found]
            for label, found in sweep.spreads.items()
        },
    }
