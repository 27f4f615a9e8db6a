"""Splits the contenders of a ranking into cohorts whose workers fit into memory at the same time.

The contenders of a cohort take turns in the same rounds. All cohorts contain one common contender,
the anchor, through which contenders of different cohorts can be compared. Each repeat draws another
anchor and another split, so that over the repeats most contenders meet.
"""

from collections.abc import Iterable, Sequence

import numpy as np

_STREAM = 2  # the order of a repeat is drawn from [seed, repeat] too
_DRAWS = 20  # of a split, before the one that certainly fits is used


def cohorts(
    needs: Sequence[int | None], available: int | None, seed: int, repeat: int
) -> list[list[int]]:
    """Split contenders into cohorts; all of them are one cohort if they fit.

    Args:
        needs: bytes of memory that each contender needs; None where unknown, which counts as the
            largest known need.
        available: bytes of memory for all contenders of a cohort; None where unknown, which makes
            one cohort.
        seed: of the run.
        repeat: which repeat of the jobs it is, counted from 1.

    Returns:
        The contenders of each cohort, as ascending positions in `needs`. The anchor is in every
        cohort, except that a contender that does not fit with it is alone.
    """
    largest = max((need for need in needs if need is not None), default=0)
    sizes = [largest if need is None else need for need in needs]
    everyone = list(range(len(sizes)))
    if available is None or sum(sizes) <= available or len(sizes) < 2:
        return [everyone] if everyone else []
    random = np.random.default_rng([seed, repeat, _STREAM])
    anchor = _anchor(sizes, available, random)
    sharing, alone = _others(anchor, sizes, available)
    groups = _split(sharing, sizes, available - sizes[anchor], random)
    found = [sorted([anchor, *group]) for group in groups or [[]]] + [[each] for each in alone]
    return [found[place] for place in random.permutation(len(found)).tolist()]


def _anchor(sizes: Sequence[int], available: int, random: np.random.Generator) -> int:
    """Draw one of the contenders that leave the fewest others alone and need the fewest cohorts."""
    costs = []
    for each, size in enumerate(sizes):
        sharing, alone = _others(each, sizes, available)
        costs.append((len(alone), len(_first_fit(sharing, sizes, available - size))))
    least = min(costs)
    return int(random.choice([each for each, cost in enumerate(costs) if cost == least]))


def _others(anchor: int, sizes: Sequence[int], available: int) -> tuple[list[int], list[int]]:
    """Return the contenders that fit with the anchor, and those that do not."""
    others = [each for each in range(len(sizes)) if each != anchor]
    fitting = [each for each in others if sizes[anchor] + sizes[each] <= available]
    return fitting, [each for each in others if each not in fitting]


def _first_fit(members: Iterable[int], sizes: Sequence[int], room: int) -> list[list[int]]:
    """Put each member, the largest first, into the first group that has room, else a new one."""
    groups: list[list[int]] = []
    for each in sorted(members, key=lambda member: -sizes[member]):
        fitting = _with_room(each, groups, sizes, room)
        if fitting:
            fitting[0].append(each)
        else:
            groups.append([each])
    return groups


def _split(
    members: Sequence[int], sizes: Sequence[int], room: int, random: np.random.Generator
) -> list[list[int]]:
    """Split the members at random into at most as many groups as `_first_fit`."""
    shuffled = random.permutation(members).tolist()
    first_fit = _first_fit(shuffled, sizes, room)
    decreasing = sorted(shuffled, key=lambda member: -sizes[member])
    for _ in range(_DRAWS):
        groups: list[list[int]] = [[] for _ in first_fit]
        for each in decreasing:
            fitting = _with_room(each, groups, sizes, room)
            if not fitting:
                break
            fitting[random.integers(len(fitting))].append(each)
        else:
            return [group for group in groups if group]
    return first_fit


def _with_room(
    each: int, groups: Iterable[list[int]], sizes: Sequence[int], room: int
) -> list[list[int]]:
    """Return the groups where a member fits."""
    return [
        group for group in groups if sizes[each] + sum(sizes[member] for member in group) <= room
    ]
