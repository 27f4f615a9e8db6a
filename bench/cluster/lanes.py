"""Decide which node runs which trials, without a cluster.

A ranking never mixes machines, so all its trials go to one node. The trials of a node that is lost
go to another one.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from bench.spec.job import Job, Trial

# How often a trial moves to another node after its node was lost. It has a limit because a trial
# can be the reason why its nodes go down.
MOST_MOVES = 2


class Node(msgspec.Struct, frozen=True):
    """A machine of the cluster.

    Attributes:
        key: the cluster's identifier of the node, unique.
        name: the name for people, unique among the nodes.
        cpus: the number of CPUs that it lends.
        gpus: the number of GPUs that it lends.
        place: the kind of machine, as in a job; empty while it is unknown.
        address: the address at which other nodes reach it.
    """

    key: str
    name: str
    cpus: int
    gpus: int = 0
    place: str = ""
    address: str = ""


class Assignment(msgspec.Struct, frozen=True):
    """The next work of a node.

    Attributes:
        trials: the trials, in order; empty if there are none for the node now.
        others: the nodes that share each of the trials with it.
    """

    trials: list[Trial]
    others: list[Node] = []


def can_do(node: Node, job: Job) -> bool:
    """Return whether the node is of the job's kind and has its devices."""
    kind, _, index = job.device.partition(":")
    devices = node.gpus - job.local_size + 1 if kind == "gpu" else node.cpus
    return devices > int(index or 0) and job.place in ("", node.place)


def can_share(nodes: Iterable[Node], job: Job) -> bool:
    """Return whether one kind of machine has as many suitable nodes as the job has hosts."""
    kinds = Counter(node.place for node in nodes if can_do(node, job))
    return max(kinds.values(), default=0) >= job.hosts


class Lanes:
    """The trials that are left, and the ranking that each node works at.

    Attributes:
        homes: the key of the node that last measured each ranking.
        moves: for each trial that lost its node, the names of the lost nodes.
    """

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.homes: dict[Job, str] = {}
        self.moves: defaultdict[Trial, list[str]] = defaultdict(list)
        self._nodes = {node.key: node for node in nodes}
        self._waiting: dict[Job, list[Trial]] = {}
        self._working: dict[str, Job] = {}
        self._sharing: dict[str, str] = {}  # the key of another host -> the key of the first host

    @property
    def nodes(self) -> list[Node]:
        """The nodes that are not lost."""
        return list(self._nodes.values())

    def add(self, trials: Sequence[Trial]) -> None:
        """Add trials; the trials of a ranking keep their order."""
        for trial in trials:
            self._waiting.setdefault(trial.job.compared_with(), []).append(trial)

    def idle(self) -> list[Node]:
        """Return the nodes without work."""
        return [
            node
            for key, node in self._nodes.items()
            if key not in self._working and key not in self._sharing
        ]

    def take(self, node: Node) -> Assignment:
        """Assign the next ranking to a node."""
        idle = self.idle()
        if node not in idle:
            return Assignment([])
        for ranking, trials in self._waiting.items():
            alike = [each for each in idle if each != node and each.place == node.place]
            others = [each for each in alike if can_do(each, ranking)][: ranking.hosts - 1]
            is_enough = len(others) == ranking.hosts - 1
            if is_enough and node in self._willing(ranking, trials[0]):
                self._working[node.key] = ranking
                self._sharing |= dict.fromkeys((each.key for each in others), node.key)
                self.homes[ranking] = node.key
                return Assignment(list(trials), others)
        return Assignment([])

    def ended(self, node: Node, trial: Trial) -> None:
        """Take a trial that is recorded off the list."""
        ranking = self._working[node.key]
        self._waiting[ranking].remove(trial)
        if not self._waiting[ranking]:
            del self._waiting[ranking]

    def done(self, node: Node) -> None:
        """Make a node that finished its assignment idle, and the nodes that shared it."""
        self._working.pop(node.key, None)
        self._sharing = {key: led for key, led in self._sharing.items() if led != node.key}

    def lost(self, node: Node, is_alive: bool = False, other: Node | None = None) -> Trial | None:
        """Let another node continue with the ranking of a node that was lost.

        Args:
            node: the node whose assignment broke off.
            is_alive: whether it can be given work again.
            other: the node that is lost, if it is one that shared the trial.

        Returns:
            The trial that ran, if it has moved as often as it may; it must be recorded.
        """
        ranking = self._working.get(node.key)
        self.done(node)
        if not is_alive:
            self._nodes.pop(node.key, None)
        if other is not None:
            self._nodes.pop(other.key, None)
        if ranking is None or ranking not in self._waiting:
            return None
        if other is None:
            del self.homes[ranking]
        trial = self._waiting[ranking][0]
        self.moves[trial].append((other or node).name)
        if len(self.moves[trial]) <= MOST_MOVES:
            return None
        self._drop(ranking, trial)
        return trial

    def refused(self, node: Node) -> None:
        """Drop a node that can run none of the trials; this does not count as a move."""
        ranking = self._working.get(node.key)
        self.done(node)
        self._nodes.pop(node.key, None)
        if ranking is not None:
            self.homes.pop(ranking, None)

    def stranded(self) -> list[Trial]:
        """Remove the trials that no node can run, and return them."""
        left = [
            trial
            for trials in self._waiting.values()
            for trial in trials
            if not can_share(self._nodes.values(), trial.job)
        ]
        for trial in left:
            self._drop(trial.job.compared_with(), trial)
        return left

    def is_done(self) -> bool:
        """Return whether no trial is left."""
        return not self._waiting

    def _willing(self, ranking: Job, first: Trial) -> list[Node]:
        """The nodes that may take the ranking: the node that measured it before, else any.

        A trial returns to a node that was lost with it only if no other node can run it.
        """
        able = [
            node
            for node in self._nodes.values()
            if can_do(node, ranking) and self._has_enough_alike(node, ranking)
        ]
        home = [node for node in able if node.key == self.homes.get(ranking)]
        if home:
            return home
        others = [node for node in able if node.name not in self.moves[first]]
        return others or able

    def _has_enough_alike(self, node: Node, ranking: Job) -> bool:
        """Whether the node's kind has as many nodes as the ranking has hosts."""
        alike = [each for each in self._nodes.values() if each.place == node.place]
        return can_share(alike, ranking)

    def _drop(self, ranking: Job, trial: Trial) -> None:
        self._waiting[ranking].remove(trial)
        if not self._waiting[ranking]:
            del self._waiting[ranking]


def explain_moves(names: Sequence[str]) -> str:
    """Return why a trial is given up after these nodes were lost with it."""
    return (
        f"the node that ran it was lost {len(names)} times ({', '.join(names)}): it is not moved "
        f"more than {MOST_MOVES} times"
    )


def homes_of(
    kept: Mapping[Job, tuple[str, str]], nodes: Mapping[tuple[str, str], str]
) -> dict[Job, str]:
    """Return the node that continues each ranking of a resumed run.

    Args:
        kept: the machine and hardware that measured each ranking.
        nodes: the key of a node for each machine and hardware.
    """
    return {ranking: nodes[place] for ranking, place in kept.items() if place in nodes}
