"""Which trial goes to which node: pure decisions, without a cluster.

A ranking never mixes machines, so all trials that it compares go to one node. A node that is lost
gives its trials back, and they go to another.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from bench.spec.job import Job, Trial

# How often one trial goes to another node after its node was lost: a trial that takes every node
# down with it must end somewhere.
MOST_MOVES = 2


class Node(msgspec.Struct, frozen=True):
    """A machine of the cluster.

    Attributes:
        key: what the cluster calls it, unique.
        name: what people call it, unique among the nodes.
        cpus: that it lends.
        gpus: that it lends.
        place: the kind of machine, as in a job; empty is not known yet.
        address: at which other nodes reach it.
    """

    key: str
    name: str
    cpus: int
    gpus: int = 0
    place: str = ""
    address: str = ""


class Taken(msgspec.Struct, frozen=True):
    """What a node does next: trials, and the nodes that share each of them with it."""

    trials: list[Trial]
    helpers: list[Node] = []


def can_do(node: Node, job: Job) -> bool:
    """Whether the node is of the job's kind and has its devices."""
    kind, _, index = job.device.partition(":")
    devices = node.gpus - job.local_size + 1 if kind == "gpu" else node.cpus
    return devices > int(index or 0) and job.place in ("", node.place)


def can_share(nodes: Iterable[Node], job: Job) -> bool:
    """Whether there are as many nodes of one kind as the job has hosts, each of which can do it."""
    kinds = Counter(node.place for node in nodes if can_do(node, job))
    return max(kinds.values(), default=0) >= job.hosts


class Lanes:
    """The trials that are left, and which node works through which.

    Attributes:
        homes: the key of the node that measured a ranking last.
        moves: of each trial that its node was lost with, the nodes' names.
    """

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.homes: dict[Job, str] = {}
        self.moves: defaultdict[Trial, list[str]] = defaultdict(list)
        self._nodes = {node.key: node for node in nodes}
        self._waiting: dict[Job, list[Trial]] = {}
        self._working: dict[str, Job] = {}
        self._helping: dict[str, str] = {}  # by a helper's key, that of the node that it helps

    @property
    def nodes(self) -> list[Node]:
        """Those that are not lost."""
        return list(self._nodes.values())

    def add(self, trials: Sequence[Trial]) -> None:
        """Plan trials; those of one ranking keep their order."""
        for trial in trials:
            self._waiting.setdefault(trial.job.compared_with(), []).append(trial)

    def idle(self) -> list[Node]:
        """The nodes that work at nothing."""
        return [
            node
            for key, node in self._nodes.items()
            if key not in self._working and key not in self._helping
        ]

    def take(self, node: Node) -> Taken:
        """What a node does next; no trials when there are none for it now."""
        idle = self.idle()
        if node not in idle:
            return Taken([])
        for ranking, trials in self._waiting.items():
            others = [each for each in idle if each != node and each.place == node.place]
            helpers = [each for each in others if can_do(each, ranking)][: ranking.hosts - 1]
            is_enough = len(helpers) == ranking.hosts - 1
            if is_enough and node in self._willing(ranking, trials[0]):
                self._working[node.key] = ranking
                self._helping |= dict.fromkeys((each.key for each in helpers), node.key)
                self.homes[ranking] = node.key
                return Taken(list(trials), helpers)
        return Taken([])

    def ended(self, node: Node, trial: Trial) -> None:
        """A trial of the node's is recorded."""
        ranking = self._working[node.key]
        self._waiting[ranking].remove(trial)
        if not self._waiting[ranking]:
            del self._waiting[ranking]

    def done(self, node: Node) -> None:
        """The node is through with what it took, and those that helped it too."""
        self._working.pop(node.key, None)
        self._helping = {key: led for key, led in self._helping.items() if led != node.key}

    def lost(self, node: Node, is_alive: bool = False, helper: Node | None = None) -> Trial | None:
        """What the node worked at goes to another.

        Args:
            node: that told nothing to the end.
            is_alive: it can be given work again.
            helper: that is lost, where the node itself is not.

        Returns:
            The trial that it was at, if that has moved as often as it may: it must be recorded.
        """
        ranking = self._working.get(node.key)
        self.done(node)
        if not is_alive:
            self._nodes.pop(node.key, None)
        if helper is not None:
            self._nodes.pop(helper.key, None)
        if ranking is None or ranking not in self._waiting:
            return None
        if helper is None:
            del self.homes[ranking]
        trial = self._waiting[ranking][0]
        self.moves[trial].append((helper or node).name)
        if len(self.moves[trial]) <= MOST_MOVES:
            return None
        self._drop(ranking, trial)
        return trial

    def refused(self, node: Node) -> None:
        """The node can do none of the trials; that moves nothing."""
        ranking = self._working.get(node.key)
        self.done(node)
        self._nodes.pop(node.key, None)
        if ranking is not None:
            self.homes.pop(ranking, None)

    def stranded(self) -> list[Trial]:
        """The trials that none of the nodes can do; they are taken off the plan."""
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
        """Whether no trial is left."""
        return not self._waiting

    def _willing(self, ranking: Job, first: Trial) -> list[Node]:
        """The nodes that may take the ranking: its own while that is there, else any that can.

        A trial that a node was lost with goes to that node again only if no other can do it.
        """
        able = [
            node
            for node in self._nodes.values()
            if can_do(node, ranking) and self._has_company(node, ranking)
        ]
        home = [node for node in able if node.key == self.homes.get(ranking)]
        if home:
            return home
        others = [node for node in able if node.name not in self.moves[first]]
        return others or able

    def _has_company(self, node: Node, ranking: Job) -> bool:
        """Whether its kind has as many nodes as the ranking has hosts."""
        alike = [each for each in self._nodes.values() if each.place == node.place]
        return can_share(alike, ranking)

    def _drop(self, ranking: Job, trial: Trial) -> None:
        self._waiting[ranking].remove(trial)
        if not self._waiting[ranking]:
            del self._waiting[ranking]


def fate(names: Sequence[str]) -> str:
    """Why a trial is given up, of the nodes that were lost with it."""
    return (
        f"the node that ran it was lost {len(names)} times ({', '.join(names)}): it is not moved "
        f"more than {MOST_MOVES} times"
    )


def homes_of(
    kept: Mapping[Job, tuple[str, str]], nodes: Mapping[tuple[str, str], str]
) -> dict[Job, str]:
    """The node of each ranking that a run to go on with has records of.

    Args:
        kept: machine and hardware that measured each ranking.
        nodes: the key of a node of each machine and hardware.
    """
    return {ranking: nodes[place] for ranking, place in kept.items() if place in nodes}
