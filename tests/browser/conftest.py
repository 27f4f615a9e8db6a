"""A headless Chromium of the system without a network; the tests are skipped if there is none."""

import shutil
import zlib
from operator import attrgetter
from pathlib import Path
from types import SimpleNamespace

import msgspec
import numpy as np
import pytest
from support import records

from bench.records.predictions import EXPLANATIONS, PICTURES, Explanation, Picture, Pictures
from bench.records.trial import EpochRecord, attribute_of
from bench.worker.protocol import Explained
from reports import write_report

_FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
_NAMES = ("chromium", "chromium-browser", "google-chrome")
HOSTILE = "<img src=x onerror='window.hit=1'><b>bold</b> </script><script>window.hit=1</script>"

# Throughput, seconds to the first step, MiB: fast contenders start late and use more memory.
_CONTENDERS = {
    ("torch", "eager"): (100_000, 2.4, 750),
    ("torch", "compile"): (150_000, 26.0, 820),
    ("jax", "jit"): (130_000, 1.1, 706),
    ("jax", "scan"): (200_000, 1.4, 712),
    ("tensorflow", "xla"): (230_000, 4.5, 1463),
    ("numpy", "eager"): (140_000, 0.5, 482),
}


@pytest.fixture(scope="session")
def chromium():
    """Start the browser once per session."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = next((path for name in _NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"no browser: none of {', '.join(_NAMES)} is installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(_FLAGS))
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def run(tmp_path_factory) -> Path:
    """Store a run with a failure, a failed certificate and hostile text."""
    trials = [
        trial
        for model, share in (("mlp", 1.0), ("lenet5", 0.05))
        for batch in (32, 64, 256)
        for trial in _trials(model, share, batch)
    ]
    folder = tmp_path_factory.mktemp("page") / "run"
    models = {"mlp": records.MANIFEST.models["mlp"], "lenet5": records.MANIFEST.models["mlp"]}
    records.store(folder, trials, models=models, command=f"bench run --models '{HOSTILE}'")
    chosen_first = {"model": "lenet5", "batch_size": 32, "outcome": "ok", "repeat": 1}
    _explain(folder, [trial for trial in trials if _is(trial, **chosen_first)])
    return folder


def _is(record, **fields):
    return all(attrgetter(attribute_of(name))(record) == value for name, value in fields.items())


def _explain(folder, trials):
    """Store predictions that differ slightly between contenders, and images of noise."""
    noise = np.random.default_rng(0)
    labels = noise.integers(0, 10, 200).astype(np.uint8)
    with (folder / EXPLANATIONS).open("wb") as file:
        for trial in trials:
            classes = np.where(noise.random(200) < 0.95, labels, noise.integers(0, 10, 200))
            shades = noise.integers(0, 256, (10, 8, 8)).astype(np.uint8)
            told = Explained(
                predicted=zlib.compress(classes.astype(np.uint8).tobytes()),
                examples=tuple(range(10)),
                saliency=zlib.compress(shades.tobytes()),
                step_seconds=tuple(noise.gamma(9, 1e-4, 200).tolist()),
                problems=(f"no saliency: {HOSTILE}",) if trial.job.backend == "numpy" else (),
                seconds=1.0,
            )
            file.write(msgspec.json.encode(Explanation(trial.trial, trial.job.model, told)) + b"\n")
    pictures = Pictures(
        shape=(8, 8, 1),
        labels=zlib.compress(labels.tobytes()),
        pictures=tuple(
            Picture(place, int(label), noise.integers(0, 256, 64).astype(np.uint8).tobytes())
            for place, label in enumerate(labels.tolist())
        ),
    )
    (folder / PICTURES).write_bytes(msgspec.json.encode(pictures))


def _trials(model, share, batch):
    alike = {"model": model, "batch_size": batch}
    for (backend, mode), (speed, wait, memory) in _CONTENDERS.items():
        # NumPy gains nothing from larger batches but the others do, so that there is a crossover.
        throughput = speed * share * ((batch / 64) ** 0.5 if backend != "numpy" else 1.0)
        for repeat in (1, 2, 3):
            value = throughput * (1 + 0.01 * repeat)
            epochs = [
                EpochRecord(59_968 / value, 0.5 / n, 0.92 + 0.02 * n, 59_968, 0.1) for n in (1, 2)
            ]
            yield records.in_rounds(
                backend,
                mode,
                repeat,
                [value * share for share in (0.9, 1.0, 1.1, 0.2, 1.0)],
                flagged=(4,),
                peak_memory_bytes=memory * 2**20,
                import_seconds=wait / 2,
                data_seconds=0.0,
                build_seconds=0.0,
                compile_seconds=wait / 2,
                cold_start_seconds=wait + 0.2,
                test_accuracy=0.96,
                per_epoch=epochs,
                **alike,
            )
    yield records.failed("torch", "xla", "crashed", HOSTILE, **alike)
    yield records.trial(HOSTILE, "eager", throughput_images_per_second=10.0 * share, **alike)
    yield records.trial("numpy", "other", equivalence="failed", **alike)


@pytest.fixture(scope="session")
def page_file(run) -> Path:
    """Write the page of the run and return its path."""
    (path,) = write_report([run], formats=["html"])
    return path


@pytest.fixture
def visit(chromium, page_file):
    """Open the page like a reader; afterwards check for errors and requests."""
    contexts, faults = [], []

    def open_page(address="", **options):
        context = chromium.new_context(offline=True, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: _note(faults, message))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("request", lambda request: _note_request(faults, request))
        page.goto(f"{page_file.as_uri()}{address}")
        page.wait_for_selector("html[data-ready]", timeout=60_000)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert faults == []


def _note(faults, message):
    if message.type in ("error", "warning"):
        faults.append(message.text)


def _note_request(faults, request):
    if not request.url.startswith(("file:", "data:", "blob:")):
        faults.append(request.url)


@pytest.fixture(scope="session")
def shapes():
    """Return the window sizes of a desktop and of a phone."""
    return SimpleNamespace(
        desk={"viewport": {"width": 1280, "height": 900}},
        phone={"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True},
    )
