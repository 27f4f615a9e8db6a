"""Find the nodes of a cluster that can measure a run."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from bench.cluster.driver import Driver
from bench.cluster.lanes import Lanes, Node, can_share, homes_of
from bench.cluster.ledger import Ledger
from bench.cluster.messages import Answer, Question
from bench.errors import ClusterError
from bench.machine.hardware import place_of
from bench.records.manifest import ClusterChoice
from bench.records.reader import read_run
from bench.records.trial import TrialRecord
from bench.records.writer import RunFolder
from bench.run.devices import wants_gpu
from bench.run.executor import Executor, LocalExecutor
from bench.run.interrupts import Interrupts
from bench.run.observers import Observer
from bench.run.plan import trials
from bench.run.prepare import Plan
from bench.run.request import MatrixOptions, Report
from bench.run.session import Measure, Session
from bench.run.validity import Holding, Validity, why_invalid
from bench.spec.job import Job

if TYPE_CHECKING:
    from bench.cluster.ray_nodes import RayNodes

_INSTALL = "python -m pip install 'evenbench[ray]'"


class Cluster(NamedTuple):
    """The nodes of a run.

    Attributes:
        ray_nodes: the connection.
        choice: the options that say which nodes run which part of the plan.
        nodes: the nodes that can take part, with their kinds of machine.
        holdings: each node's hardware and backends, by its key.
        left_out: one line for each node that cannot take part.
    """

    ray_nodes: "RayNodes"
    choice: ClusterChoice
    nodes: list[Node]
    holdings: dict[str, Holding]
    left_out: list[str]

    @property
    def cpus(self) -> range:
        """As many CPUs as the largest node lends."""
        return range(max(node.cpus for node in self.nodes))

    @property
    def executor(self) -> Executor:
        """Starts workers on this machine, which measures nothing."""
        return LocalExecutor()

    def place(self, plan: Plan, repeats: int, seed: int) -> Plan:
        """Plan the trials for each kind of machine, or once where the nodes share the plan.

        Args:
            plan: the plan, without machines.
            repeats: the number of repeats of each job.
            seed: the seed of the first repeat.

        Raises:
            ClusterError: no node has the devices of a job.
        """
        jobs = plan.jobs
        if self.choice.nodes == "each":
            places = list(dict.fromkeys(node.place for node in self.nodes))
            jobs = [msgspec.structs.replace(job, place=name) for name in places for job in jobs]
            jobs = [job for job in jobs if self._is_possible(job) or not self._has_device(job)]
        for job in jobs:
            if not self._is_possible(job):
                raise ClusterError(_impossible(job))
        return msgspec.structs.replace(
            plan,
            experiment=msgspec.structs.replace(plan.experiment, rounds=0),
            jobs=jobs,
            trials=trials(jobs, repeats, seed),
            notes=[*plan.notes, self._note()],
        )

    def validity(self, plan: Plan) -> Validity:
        """Compare records with the nodes and their installed backends."""
        return self.why_invalid

    def warnings(self, report: Report) -> list[str]:
        """Return nothing: the trials of other runs are noted by each node."""
        return []

    def presence(self) -> AbstractContextManager[None]:
        """Hold no lock: this machine measures nothing."""
        return nullcontext()

    def start(
        self,
        session: Session,
        folder: RunFolder,
        observer: Observer,
        interrupts: Interrupts,
        report: Report,
    ) -> Measure:
        """Send the manifest to the nodes; each makes its own certificates and peak rates."""
        self.ray_nodes.give(session.manifest)
        certificates = read_run(folder.path).certificates
        ledger = Ledger(session.plan.experiment, folder, observer, report, certificates)
        lanes = self._lanes(session.valid)
        return Driver(self.ray_nodes, lanes, ledger, interrupts).run

    def _lanes(self, kept: Sequence[TrialRecord]) -> Lanes:
        """The nodes; a ranking with records continues on the node that made them."""
        lanes = Lanes(self.nodes)
        made = {each.job.compared_with(): (each.machine, each.hardware_digest) for each in kept}
        own = {(held.machine, held.hardware_digest): key for key, held in self.holdings.items()}
        lanes.homes = homes_of(made, own)
        return lanes

    def why_invalid(self, record: TrialRecord) -> str:
        """Return why a successful record is valid on no node; empty if it is valid on one."""
        same = [
            msgspec.structs.replace(held, machine=record.machine)
            for held in self.holdings.values()
            if held.hardware_digest == record.hardware_digest
        ]
        if not same:
            return f"measured on the machine {record.machine}, whose hardware no node has now"
        reasons = [why_invalid(record, [each]) for each in same]
        return "" if "" in reasons else reasons[0]

    def _note(self) -> str:
        """A note for the report that names the machines."""
        names = ", ".join(
            f"{node.name} ({node.cpus} CPUs, kind {node.place})" for node in self.nodes
        )
        return f"measured on the nodes of a Ray cluster: {names}"

    def _is_possible(self, job: Job) -> bool:
        return can_share(self.nodes, job)

    def _has_device(self, job: Job) -> bool:
        """Whether a node of any kind has the job's device."""
        return self._is_possible(msgspec.structs.replace(job, place=""))


def _impossible(job: Job) -> str:
    """The message for a job that the cluster has no nodes for."""
    devices = job.device if job.local_size == 1 else f"{job.local_size} from {job.device} on"
    if job.hosts == 1:
        return (
            f"no node of the cluster lends device {devices} to Ray; start a node that does "
            "(ray start --num-gpus)"
        )
    return (
        f"the cluster does not have {job.hosts} nodes of one kind that lend device {devices}; use "
        "fewer --hosts, or add nodes of one kind"
    )


def connect(address: str, choice: ClusterChoice, question: Question) -> Cluster:
    """Connect to a cluster and ask its nodes what they have.

    Args:
        address: `auto` or host:port.
        choice: the options that say which nodes run which part of the plan.
        question: the question to each node.

    Raises:
        ClusterError: Ray is not installed, or no node can take part.
    """
    try:
        from bench.cluster.ray_nodes import RayNodes
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        raise ClusterError(
            f"--cluster {address} needs Ray, which is not installed; install it with: {_INSTALL}"
        ) from error
    ray_nodes = RayNodes(address, choice.accelerator_type)
    found = ray_nodes.found()
    answers = ray_nodes.answers(found, question)
    useful = {key: each for key, each in answers.items() if isinstance(each, Answer)}
    lines = [
        f"{node.name} is left out: {answers[node.key]}" for node in found if node.key not in useful
    ]
    if not useful:
        raise ClusterError("no node of the cluster can run this: " + "; ".join(lines))
    nodes = [
        msgspec.structs.replace(node, place=place_of(useful[node.key].holding.hardware_digest))
        for node in found
        if node.key in useful
    ]
    holdings = {key: each.holding for key, each in useful.items()}
    return Cluster(ray_nodes, choice, nodes, holdings, lines)


def question_of(matrices: Sequence[MatrixOptions], data_dir: str) -> Question:
    """Return the question to the nodes before these matrices are planned."""
    return Question(
        backends=tuple(dict.fromkeys(name for each in matrices for name in each.backends)),
        on_gpu=any(wants_gpu(each.devices) for each in matrices),
        data_dir=data_dir,
    )
