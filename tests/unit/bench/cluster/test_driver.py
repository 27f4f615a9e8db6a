"""The driver and the agents of a run on several nodes; the nodes are threads, not a cluster."""

import msgspec
import pytest

from bench.cluster.agent import answer, node_workers, work
from bench.cluster.connect import Cluster, question_of
from bench.cluster.driver import Driver, LostNodeError
from bench.cluster.lanes import Lanes, Node
from bench.cluster.ledger import Ledger
from bench.cluster.messages import Certified, Order, Question
from bench.errors import ClusterError
from bench.records.manifest import ClusterChoice
from bench.records.reader import read_run
from bench.records.writer import RunFolder
from bench.run.executor import LocalExecutor
from bench.run.interrupts import Interrupts
from bench.run.manifests import make_manifest
from bench.run.prepare import make_plan
from bench.run.request import MatrixOptions, request_of
from bench.run.validity import Holding
from bench.spec.job import Job
from bench.verification.certificate import Certificate, Check

pytestmark = pytest.mark.process
A, B = (Node(key, f"node-{key}", cpus=1, place=f"kind-{key}") for key in "ab")
ALIKE = [Node(key, f"node-{key}", cpus=1, place="kind", address="127.0.0.1") for key in "abc"]


class Threads:
    """Nodes in this process: an agent's messages go directly to the driver."""

    def __init__(self, manifest, dies=()):
        self.manifest = manifest
        self.dies = set(dies)

    def run(self, node, trials, others):
        workers = [node_workers(self._order(each)) for each in others]
        for number, message in enumerate(work(self._order(node), trials, workers)):
            for other in others:
                if other.key in self.dies and number == 5:
                    self.dies.remove(other.key)
                    raise LostNodeError("the power is out", is_alive=True, other=other)
            if node.key in self.dies and number == 5:
                self.dies.remove(node.key)
                raise LostNodeError("the power is out", is_alive=False)
            yield message

    def _order(self, node):
        return Order(manifest=self.manifest, cpus=1, address=node.address)

    def stop(self):
        pass


class Shown:
    def __init__(self):
        self.nodes = {}

    def check_began(self, job):
        pass

    def trial_began(self, trial, node=""):
        self.nodes[trial.name] = node

    def trial_event(self, trial, event):
        pass

    def trial_disturbed(self, trial, record):
        pass

    def trial_ended(self, trial, record):
        pass


@pytest.fixture
def make_request(plugin, tiny_data, tmp_path):
    (tmp_path / "model.py").write_text(
        "from bench.spec.layers import Dense, Flatten, sequential\n"
        "def tiny(classes):\n    return sequential(Flatten(), Dense(classes))\n"
    )

    def make(*backends, devices=("cpu",), batch_sizes=(16,), **options):
        values = {
            "backends": list(backends),
            "models": [f"{tmp_path / 'model.py'}:tiny"],
            "devices": list(devices),
            "batch_sizes": list(batch_sizes),
            "epochs": 1,
            "repeats": 1,
            "retries": 0,
            "timeout": 60,
            "data_dir": tiny_data,
            "verify": False,
        }
        return request_of(values | options)

    return make


def over(request, folder, nodes=(A, B), dies=(), change=lambda manifest: manifest):
    """Run over the nodes; return the records, the messages and the observer."""
    prepared = make_plan(request, LocalExecutor(), None, range(4))
    manifest = change(make_manifest(prepared, request, "", ClusterChoice()))
    said, observer = [], Shown()
    with RunFolder(folder) as opened:
        opened.write_manifest(manifest)
        ledger = Ledger(prepared.experiment, opened, observer, said.append)
        driver = Driver(Threads(manifest, dies), Lanes(nodes), ledger, Interrupts())
        return list(driver.run(prepared.trials)), said, observer


def test_every_trial_has_a_record_and_the_node_chooses_its_threads(make_request, tmp_path):
    request = make_request("numpy", "fake", batch_sizes=[8, 16])
    records, _, observer = over(request, tmp_path / "run")
    assert len(read_run(tmp_path / "run").trials) == len(records) == 4
    assert {record.outcome for record in records} == {"ok"}
    assert {record.threads for record in records} == {1}, "what the node lends, not the driver's 4"
    assert set(observer.nodes.values()) == {"node-a", "node-b"}


def test_a_trial_whose_node_is_lost_is_measured_on_another(make_request, tmp_path):
    records, said, _ = over(make_request("fake"), tmp_path / "run", dies="a")
    assert [record.outcome for record in records] == ["ok"]
    assert "node-a: lost: the power is out" in said


def test_a_node_that_cannot_run_is_left_out_with_a_reason(make_request, tmp_path):
    def of_other_data(manifest):
        dataset = msgspec.structs.replace(manifest.dataset, name="another")
        return msgspec.structs.replace(manifest, dataset=dataset)

    records, said, _ = over(make_request("fake"), tmp_path / "run", change=of_other_data)
    assert [record.outcome for record in records] == ["unavailable"]
    assert records[0].machine == ""
    assert sum("the data set another has changed since" in line for line in said) == 2


def test_two_nodes_share_a_trial_and_its_record_names_both(make_request, tmp_path):
    request = make_request("fake", world_size=[2], hosts=[2])
    records, _, observer = over(request, tmp_path / "run", ALIKE[:2])
    (record,) = records
    assert record.outcome == "ok", record
    assert (record.job.world_size, record.job.hosts) == (2, 2)
    assert record.other_machines == [record.machine], "both are this machine"
    assert record.trial.endswith("-world2-hosts2-r1")
    assert set(observer.nodes.values()) == {"node-a"}


def test_a_trial_that_loses_one_of_its_hosts_is_shared_with_another_node(make_request, tmp_path):
    request = make_request("fake", world_size=[2], hosts=[2])
    records, said, _ = over(request, tmp_path / "run", ALIKE, dies="b")
    assert [record.outcome for record in records] == ["ok"]
    assert "node-b: lost: the power is out" in said
    assert any(line.startswith("node-a: ") and "goes on with another node" in line for line in said)


def certificate(*, difference=0.0, seconds=1.0, version="1"):
    return Certificate(
        job=Job("mlp", 0, "x", "eager", "cpu"),
        framework_version=version,
        checks=(Check("logits", difference, 1e-3),),
        seconds=seconds,
    )


def test_certificates_of_all_nodes_are_stored_once(make_request, tmp_path):
    with RunFolder(tmp_path / "run") as folder:
        ledger = Ledger(None, folder, Shown(), print)
        for each in (certificate(), certificate(seconds=2.0), certificate(version="2")):
            ledger.note(A, Certified([each]))
        assert kept(tmp_path) == [("1", 1.0, True), ("2", 1.0, True)]
        ledger.note(B, Certified([certificate(difference=1.0, seconds=3.0)]))
        ledger.note(A, Certified([certificate(seconds=4.0)]))
        assert kept(tmp_path) == [("1", 3.0, False), ("2", 1.0, True)], "the one that failed stays"


def kept(folder):
    text = (folder / "run" / "certificates.json").read_bytes()
    made = msgspec.json.decode(text, type=list[Certificate])
    return [(each.framework_version, each.seconds, each.passed) for each in made]


def cluster(*nodes, holdings=(), **choice):
    return Cluster(None, ClusterChoice(**choice), list(nodes), dict(holdings), [])


def test_each_kind_gets_the_jobs_that_it_has_devices_for(make_request):
    gpu = Node("g", "node-g", cpus=8, gpus=1, place="kind-g")
    same = Node("c", "node-c", cpus=1, place="kind-a")
    request = make_request("fake", devices=["cpu", "gpu"])
    prepared = make_plan(request, LocalExecutor(), None, range(8))
    placed = cluster(A, same, gpu, nodes="each").place(prepared, 2, 0)
    found = {(job.place, job.device) for job in placed.jobs}
    assert found == {("kind-a", "cpu"), ("kind-g", "cpu"), ("kind-g", "gpu:0")}
    names = [trial.name for trial in placed.trials]
    assert len(set(names)) == len(names) == 6
    shared = cluster(A, gpu).place(prepared, 2, 0)
    assert {job.place for job in shared.jobs} == {""}
    with pytest.raises(ClusterError, match="no node of the cluster lends device gpu:0"):
        cluster(A, same).place(prepared, 2, 0)


def test_a_record_is_valid_on_a_node_with_the_same_hardware_and_versions(
    make_request, tmp_path, make
):
    record = make.TRIALS[0]
    digest, version = record.backend_digest, record.framework_version
    held = Holding("pod-7", record.hardware_digest, {record.job.backend: (version, digest)})
    assert cluster(A, holdings={"a": held}).why_invalid(record) == ""
    newer = msgspec.structs.replace(held, backends={record.job.backend: ("99", digest)})
    assert "now 99" in cluster(A, holdings={"a": newer}).why_invalid(record)
    assert cluster(A, B, holdings={"a": newer, "b": held}).why_invalid(record) == ""
    other = msgspec.structs.replace(held, hardware_digest="other")
    assert "no node has now" in cluster(A, holdings={"a": other}).why_invalid(record)
    without = msgspec.structs.replace(held, backends={})
    assert "now None" in cluster(A, holdings={"a": without}).why_invalid(record)


def test_a_node_reports_its_devices_or_why_it_cannot_take_part(plugin, tmp_path):
    found = answer(Question(backends=("numpy", "fake"), on_gpu=False, data_dir=""))
    assert found.refusal == ""
    assert found.holding.backends["fake"][0] == "1.0"
    lacking = answer(Question(backends=("numpy",), on_gpu=False, data_dir=str(tmp_path)))
    assert str(tmp_path) in lacking.refusal
    unknown = answer(question_of([MatrixOptions(backends=["nonsense"], devices=["cpu"])], ""))
    assert "unknown backend 'nonsense'" in unknown.refusal
