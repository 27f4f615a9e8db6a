"""Predictions of trained models: measured by the worker, stored in the run, shown in the report."""

import zlib

import msgspec
import numpy as np
import pytest
from support.worker_here import WorkerHere

from backends.numpy.session import input_gradients
from backends.registry import recipes
from bench.data.decoded import open_decoded
from bench.data.prepare import prepare
from bench.records.manifest import ModelFacts
from bench.records.predictions import (
    LARGEST_ARRAY,
    Explanation,
    Picture,
    Pictures,
    decompress,
    disputed,
    pictures_of,
)
from bench.records.reader import read_run
from bench.records.writer import RunFolder
from bench.run.experiment import Experiment
from bench.run.runner import TrialRunner
from bench.spec.job import Job, Trial
from bench.spec.layers import (
    Activation,
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    Flatten,
    MaxPool,
    sequential,
)
from bench.spec.shapes import resolve
from bench.spec.training import Sgd
from bench.spec.weights import initial_weights
from bench.worker.predictions import first_of_each, shades
from bench.worker.protocol import Explained
from reports.analysis.predictions import confusion
from reports.analysis.runs import read_sources
from reports.documents.run_report import Edition
from reports.exports.markdown import markdown_text
from reports.figures import images

SHAPE = (6, 6, 2)
NETWORK = sequential(
    Conv(4, 3), BatchNorm(), Activation("relu"), MaxPool(2), Dropout(0.5), Flatten(), Dense(3)
)


def without_constants(weights):
    """Return float64 weights whose biases, scales and running statistics are not 0 or 1."""
    stream = np.random.default_rng(7)
    return {
        name: value + stream.uniform(0.05, 0.3, value.shape) if value.ndim == 1 else value
        for name, value in weights.items()
    }


def logits(model, weights, images):
    from backends.numpy.lowering import lower
    from backends.numpy.weights import Store

    return lower(model, Store(model, weights, np.float64))(images, False)[0]


def test_saliency_is_the_gradient_of_the_predicted_logit_in_inference_mode():
    model = resolve(NETWORK, SHAPE)
    weights = without_constants(initial_weights(model, 0))
    images = np.random.default_rng(0).standard_normal((2, *SHAPE))
    classes = np.array([2, 0])
    found = input_gradients(model, weights, images.astype(np.float32), classes)
    assert found.shape == images.shape
    step = 1e-6
    for image, place in ((0, (0, 0, 0)), (0, (2, 3, 1)), (1, (5, 5, 0)), (1, (3, 1, 1))):
        higher, lower = images.copy(), images.copy()
        higher[(image, *place)] += step
        lower[(image, *place)] -= step
        rise = logits(model, weights, higher) - logits(model, weights, lower)
        slope = rise[image, classes[image]] / (2 * step)
        assert found[(image, *place)] == pytest.approx(slope, rel=1e-3, abs=1e-5)


def test_examples_are_the_first_image_of_each_class():
    assert first_of_each(np.array([4, 1, 4, 0, 1])).tolist() == [3, 1, 0]


def test_shades_are_relative_to_the_largest_gradient_of_an_image():
    gradients = np.zeros((2, 1, 2, 2), np.float32)
    gradients[0, 0, 0] = (-4, 1)
    gradients[0, 0, 1] = (2, 0)
    assert shades(gradients).tolist() == [[[255, 128]], [[0, 0]]]


def test_disputed_images_are_sorted_by_disagreement():
    answers = [np.array(row) for row in ([1, 2, 3, 4], [1, 2, 5, 4], [1, 2, 6, 0])]
    assert disputed(answers) == [2, 3]
    assert disputed([]) == disputed(answers[:1]) == []


def test_confusion_counts_pairs_of_label_and_prediction():
    found = confusion(np.array([0, 1, 1]), np.array([0, 0, 1]), 2)
    assert found.tolist() == [[1, 0], [1, 1]]


def test_contenders_with_equal_errors_share_a_matrix():
    one, other = np.array([[5, 2], [0, 7]]), np.array([[5, 1], [1, 7]])
    names = ["a", "b", "c", "d", "e", "f"]
    figure = images.confusion("", names, [one, other, one, one, one, one])
    headings = [axes.get_title(loc="left") for axes in figure.axes]
    assert headings == ["a\nc\nd\nand 2 more", "b"]


@pytest.mark.parametrize(
    "compressed",
    [
        b"not compressed",
        zlib.compress(bytes(10))[:-3],
        zlib.compress(bytes(LARGEST_ARRAY + 1), level=1),
    ],
    ids=["another format", "incomplete", "bomb"],
)
def test_invalid_compressed_data_is_rejected(compressed):
    with pytest.raises(ValueError, match="compressed"):
        decompress(compressed)


class Quiet:
    def __getattr__(self, name):
        return lambda *_: None


@pytest.fixture
def stored(plugin, tiny_data, tmp_path, make, steady_canary):
    """Run NumPy and the fake backend twice each; return the folder and the data set."""
    model = sequential(Flatten(), Dense(3))
    experiment = Experiment(
        models={"tiny": ModelFacts(model, 93, 90)},
        recipes=recipes(),
        framework_versions={"numpy": "2", "fake": "1.0"},
        dataset="tiny",
        data=prepare(tiny_data).folder,
        optimizer=Sgd(learning_rate=0.1),
        epochs=2,
        train_samples=None,
        threads=1,
        cpus=(),
        timeout=60,
    )
    jobs = [Job("tiny", 16, *who, "cpu") for who in (("numpy", "eager"), ("fake", "works"))]
    planned = [Trial(job, seed=0, repeat=repeat) for repeat in (1, 2) for job in jobs]
    folder = make.store(tmp_path / "run", [], models=experiment.models)
    (folder / "trials.jsonl").unlink()
    manifest = (folder / "manifest.json").read_bytes()
    (folder / "manifest.json").unlink()
    with RunFolder(folder) as opened:
        list(TrialRunner(experiment, WorkerHere(), opened, Quiet()).run(planned))
        (folder / "manifest.json").write_bytes(manifest)
        opened.write_pictures(pictures_of(read_run(folder).explanations, experiment.data))
    return folder, open_decoded(str(experiment.data))


def test_the_first_trial_of_each_contender_stores_its_predictions(stored):
    folder, data = stored
    run = read_run(folder)
    by_name = {record.trial: record for record in run.trials}
    assert [by_name[each.trial].repeat for each in run.explanations] == [1, 1]
    for each in run.explanations:
        right = float(np.mean(each.classes == data.test_labels))
        assert right == by_name[each.trial].test_accuracy
        assert each.told.problems == ()
        assert 0 < len(each.told.step_seconds) <= 200
        assert min(each.told.step_seconds) > 0
    assert decompress(run.pictures.labels).tolist() == data.test_labels.tolist()
    answers = [each.classes for each in run.explanations]
    drawn = {picture.position for picture in run.pictures.pictures}
    assert set(disputed(answers)[:24]) <= drawn
    assert set(run.explanations[0].told.examples) <= drawn
    first = run.pictures.pictures[0]
    assert first.pixels == data.test_images[first.position].tobytes()


def section(folder, anchor):
    report = Edition(read_sources([folder])).report
    return next((part for part in report.sections if part.anchor == anchor), None)


def test_the_report_shows_the_predictions_of_each_contender(stored):
    folder, data = stored
    errors, dispute, saliency = section(folder, "errors").parts
    rows = [row for row in errors.table.rows if row[0] == "fake works"]
    labels, counts = np.unique(data.test_labels, return_counts=True)
    assert [(row[1], row[2]) for row in rows] == [
        (str(label), str(count)) for label, count in zip(labels, counts, strict=True)
    ], "the fake backend always predicts class 0"
    assert "Of 20 test images the 2 contenders answer" in errors.paragraphs[0]
    columns = [column.title for column in dispute.table.columns]
    fakes = columns.index("fake works")
    assert {row[fakes] for row in dispute.table.rows} == {"0"}
    assert saliency.picture.png.startswith(b"\x89PNG")
    text = markdown_text(Edition(read_sources([folder])).report, "figures")
    assert "![Errors by class" in text


def test_the_report_shows_the_times_of_single_steps(stored):
    folder, _ = stored
    (part,) = section(folder, "steps").parts
    assert {row[0] for row in part.table.rows} == {"numpy eager", "fake works"}
    row = part.table.rows[0]
    assert float(row[2].replace(",", "")) <= float(row[3].replace(",", "")), "p5 and p50"


def test_a_run_without_predictions_has_no_section_about_them(make, tmp_path):
    folder = make.store(tmp_path / "run", [make.trial()])
    assert section(folder, "errors") is section(folder, "steps") is None


def explanation(trial, classes, **changes):
    told = Explained(
        predicted=zlib.compress(bytes(classes)),
        examples=(0,),
        saliency=zlib.compress(bytes(4)),
        step_seconds=(0.1,),
        problems=(),
        seconds=1.0,
    )
    return Explanation(trial, "mlp", msgspec.structs.replace(told, **changes))


def test_invalid_predictions_are_ignored_when_pictures_are_chosen(tiny_data, cache):
    data = prepare(tiny_data).folder
    whole = explanation("a", [0] * 20)
    damaged = [explanation("b", [0]), explanation("c", [], predicted=b"rubbish")]
    far = explanation("d", [0] * 20, examples=(3, -1, 99))
    made = pictures_of([whole, *damaged, far], data)
    assert [picture.position for picture in made.pictures] == [0, 3]


LABELS = zlib.compress(bytes([0, 1, 2]))


@pytest.mark.parametrize(
    ("changes", "pictures"),
    [
        ({"predicted": zlib.compress(bytes(2))}, None),
        ({"predicted": b"rubbish"}, None),
        ({"saliency": zlib.compress(bytes(9))}, None),
        ({"examples": (99,), "step_seconds": ()}, None),
        ({}, Pictures((2, 2, 1), b"rubbish", ())),
        ({}, Pictures((2, 2, 1), LABELS, (Picture(0, 0, b"short"),))),
        ({}, Pictures((-2, 0, 7), LABELS, (Picture(-5, 900, b""),))),
    ],
)
def test_an_invalid_file_hides_only_its_part_of_the_section(make, tmp_path, changes, pictures):
    record = make.trial()
    folder = make.store(tmp_path / "run", [record])
    line = msgspec.json.encode(explanation(record.trial, [0, 1, 1], **changes)) + b"\n"
    (folder / "explanations.jsonl").write_bytes(line)
    whole = Pictures((2, 2, 1), LABELS, (Picture(0, 0, bytes(4)),))
    (folder / "pictures.json").write_bytes(msgspec.json.encode(pictures or whole))
    report = Edition(read_sources([folder])).report
    assert "answer" in [part.anchor for part in report.sections]
    for picture in report.pictures:
        if picture.stem.startswith(("errors", "disputed", "saliency", "steps")):
            assert picture.svg


def test_resuming_removes_an_incomplete_line_and_rejects_a_link(make, tmp_path):
    folder = make.store(tmp_path / "run", [make.trial()])
    line = msgspec.json.encode(explanation("a", [0])) + b"\n"
    (folder / "explanations.jsonl").write_bytes(line + b'{"torn')
    with RunFolder.reopen(folder) as opened:
        opened.append_explanation(explanation("b", [0]))
    assert [each.trial for each in read_run(folder).explanations] == ["a", "b"]
    precious = tmp_path / "precious"
    precious.write_text("mine")
    (folder / "explanations.jsonl").unlink()
    (folder / "explanations.jsonl").symlink_to(precious)
    with pytest.raises(ValueError, match="cannot be written"):
        RunFolder.reopen(folder)
    assert precious.read_text() == "mine"
