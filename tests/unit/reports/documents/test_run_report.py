"""The documents of a report: their content, their robustness, and that they are reproducible."""

import base64
import csv
import gzip
import json
import math
import re
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser
from itertools import pairwise

import msgspec
import pandas as pd
import pytest

from bench.errors import RecordError
from bench.records.manifest import MissingBackend
from bench.records.trial import Inference, TimeToAccuracy, TrialRecord
from bench.spec.job import Job, Trial
from bench.verification.certificate import Certificate, Check
from reports import write_report
from reports.exports.markdown import escape
from reports.figures.canvas import MOST_ROWS

NASTY = "<script>alert(1)</script> |$\\frac$ `@me` 模型"


def certificate(passed=True):
    check = Check("logits", 2e-5 if passed else 0.5, 1e-4, "" if passed else "1.dense")
    return Certificate(
        job=Job("mlp", 0, "torch", "eager", "cpu"),
        framework_version="1.0",
        checks=(check,),
        seconds=1.0,
    )


@pytest.fixture(scope="module")
def written(make, tmp_path_factory):
    """Write a report with every section; return its folder and the value of `write_report`."""
    folder = make.store(
        tmp_path_factory.mktemp("runs") / "the-run",
        [*make.TRIALS, *make.repeated("torch", "eager", [4_000.0, 5_000.0], model=NASTY)],
        missing=[MissingBackend("tensorflow", "python -m pip install 'tensorflow>=2.21'")],
        notes=["A note & more."],
        plan=[Trial(Job("lost", 64, "torch", "eager", "cpu"), 0, 9)],
        command="python -m bench run --models 'a<b'",
    )
    certificates = msgspec.json.encode([certificate(), certificate(passed=False)])
    (folder / "certificates.json").write_bytes(certificates)
    return folder, write_report([folder])


@pytest.fixture(scope="module")
def html(written):
    return (written[0] / "report.html").read_text()


@pytest.fixture(scope="module")
def markdown(written):
    return (written[0] / "report.md").read_text()


class Reader(HTMLParser):
    """Collects tags, links, headings and texts of a page, and checks that its tags are balanced."""

    VOID = ("meta", "path", "use", "br", "input")

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.links, self.levels, self.ids = [], Counter(), [], [], Counter()
        self.scopes, self.text = [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, pairs):
        attributes = dict(pairs)
        self.tags[tag] += 1
        self.links += [attributes[name] for name in ("src", "href", "data") if name in attributes]
        self.ids.update([attributes["id"]] if "id" in attributes else [])
        self.levels += [int(tag[1])] if re.fullmatch("h[1-6]", tag) else []
        self.scopes += [attributes.get("scope")] if tag == "th" else []
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, pairs):
        self.handle_starttag(tag, pairs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_the_page_is_well_formed_and_accessible(html):
    page = Reader(html)
    assert page.open == []
    assert '<html lang="en">' in html
    assert set(page.scopes) == {"col", "row"}
    assert page.levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(page.levels))
    assert page.ids.most_common(1)[0][1] == 1
    assert page.tags["svg"] == page.tags["noscript"] - 1 == 8
    assert html.count('role="img" aria-label="') == 8 + len(charts(html)) == 8 + 11
    assert all(link[1:] in page.ids for link in page.links)


def charts(html):
    return re.findall(r'data-chart="([a-z-]+)"', html)


def test_each_chart_is_in_a_figure_above_a_table(html):
    for figure in re.findall(r"<figure>.*?</figure>\s*(.{0,40})", html, re.DOTALL):
        assert figure.startswith('<div class="table"')
    assert set(charts(html)) == {
        *("ranking", "trade-offs", "accuracy", "break-even", "memory", "phases")
    }


SCRIPTS = r"<script([^>]*)>(.*?)</script>"


def test_the_page_loads_nothing(html):
    page = Reader(html)
    assert page.tags["link"] == page.tags["img"] == page.tags["iframe"] == page.tags["object"] == 0
    assert all(link.startswith("#") for link in page.links)
    assert not re.search(r"https?:|@import|url\((?!#)", html)
    assert "default-src 'none'" in html


def test_the_page_runs_only_its_own_script(html):
    kinds = [attributes for attributes, _ in re.findall(SCRIPTS, html, re.DOTALL)]
    assert kinds.count("") == 1
    assert all("type=" in attributes for attributes in kinds if attributes)
    payload = re.search(r'id="data">(.*?)</script>', html, re.DOTALL)[1]
    assert not set("<>&") & set(payload)
    assert NASTY in {ranking["choices"]["model"] for ranking in json.loads(payload)["rankings"]}


def test_the_data_is_packed_into_the_page(written, html):
    packed = dict(re.findall(r'id="(packed-\d|plotly)">(.*?)</script>', html, re.DOTALL))
    texts = {name: gzip.decompress(base64.b64decode(text)) for name, text in packed.items()}
    assert texts["packed-1"] == (written[0] / "results.csv").read_bytes()
    assert len(json.loads(texts["packed-2"])["trials"]) == 10
    assert b"plotly.js" in texts["plotly"][:200]


def test_the_page_shows_the_records_text_escaped(html):
    text = re.sub(SCRIPTS, "", html, flags=re.DOTALL)
    assert "<script" not in text
    assert "<b>" not in text
    said = " ".join(Reader(text).text)
    for words in (
        NASTY,
        "<b>not done</b> | after 600 s & more",
        "killed by [31mSIGSEGV",
        "python -m bench run --models 'a<b'",
        "python -m pip install 'tensorflow>=2.21'",
        "A note & more.",
        "lost-b64-torch-eager-cpu-r9",
        "AMD EPYC 7763",
        "1 of 2 certificates passed",
        "500,000",
        "109,184",
    ):
        assert words in said


def test_figures_follow_the_colour_scheme_of_the_page(html):
    inlined = "".join(re.findall(r"<svg.*?</svg>", html, re.DOTALL))
    assert "var(--ink)" in inlined
    assert "var(--surface)" in inlined
    assert "<style" not in inlined


def rows_of(markdown, title, part=""):
    """Return the cells of the section's first table below the part, without its header."""
    after = markdown[markdown.index(f"## {title}\n") :]
    after = after[after.index(part) :]
    table = re.search(r"(?m)(?:^\|.*\n)+", after)[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[2:]]


def test_the_tables_contain_the_numbers(markdown):
    assert rows_of(markdown, "Ranking", "### mlp")[1][:6] == [
        *("torch eager", "1–3", "99,500", "27,810–356,000", "2 of 3", "0.510 (0.198–1.32)")  # noqa: RUF001
    ]
    assert rows_of(markdown, "Accuracy over time", "### mlp")[0] == [
        *("jax scan", "97.50", "97.50", "0.0812", "0.0812", "1.00")
    ]
    assert rows_of(markdown, "Memory", "### mlp")[0] == [
        *("jax scan", "300", "300", "100", "200", "–")  # noqa: RUF001
    ]
    assert rows_of(markdown, "Phases", "### mlp")[0] == [
        *("jax scan", "1.50", "0.25", "0.12", "0.06", "1.00", "0.30", "1.94", "–")  # noqa: RUF001
    ]
    assert rows_of(markdown, "Every pair", "### mlp")[:2] == [
        ["jax scan", "torch eager", "1.96 (0.758–5.06)", "undecided", "3"],  # noqa: RUF001
        ["jax scan", "numpy default", "3.66", "undecided", "–"],  # noqa: RUF001
    ]
    assert rows_of(markdown, "The answer", "### mlp") == [
        ["1", "jax scan 194,900; torch eager 99,500"],
        ["–", "numpy default 53,250 (too few trials)"],  # noqa: RUF001
    ]
    assert ["torch eager", "mlp on cpu", "crashed", "1"] in [
        row[:4] for row in rows_of(markdown, "Not measured")
    ]


def test_unknown_values_are_shown_as_dashes_and_not_as_zero(make, tmp_path):
    unknown = ("compile_seconds", "baseline_memory_bytes", "test_accuracy", "final_train_loss")
    folder = make.store(tmp_path / "run", [make.trial(**dict.fromkeys(unknown), per_epoch=[])])
    write_report([folder], formats=["markdown"])
    markdown = (folder / "report.md").read_text()
    assert rows_of(markdown, "Memory") == [["torch eager", "300", *"––––"]]  # noqa: RUF001
    assert rows_of(markdown, "Phases")[0][4:] == ["–", "1.00", "0.30", "–", "–"]  # noqa: RUF001
    assert rows_of(markdown, "Accuracy over time")[0][1:5] == [*"––––"]  # noqa: RUF001


def test_markdown_shows_the_records_text_unchanged(markdown):
    assert escape("a|b <c> *d* e_f _g_ `h` @i & [j](k)") == (
        r"a&#124;b &lt;c&gt; \*d\* e_f \_g\_ \`h\` &#64;i &amp; \[j\](k)"
    )
    assert escape(NASTY) in markdown
    assert NASTY not in markdown
    assert "&lt;b&gt;not done&lt;/b&gt; &#124; after" in markdown


def test_markdown_tables_are_complete_and_aligned(markdown):
    tables = re.findall(r"(?m)(?:^\|.*\n)+", markdown)
    assert len(tables) >= 14
    for table in tables:
        lines = table.splitlines()
        assert len({line.count("|") for line in lines}) == 1
        assert len({len(line) for line in lines}) == 1


def test_markdown_links_the_figures_that_were_written(written, markdown):
    folder, paths = written
    links = re.findall(r"!\[[^\n]*\]\(([^)]+)\)", markdown)
    assert len(links) == 8
    assert {folder / link for link in links} == {path for path in paths if path.suffix == ".png"}


def test_the_csv_contains_every_scalar_of_every_trial(written):
    read = pd.read_csv(written[0] / "results.csv")
    nested = {"versions", "per_epoch", "slices", "variables", "native_settings", "log"}
    parts = {"inference", "limit", "noise", "time_to_accuracy"}
    own = set(TrialRecord.__struct_fields__) - nested - parts - {"job"}
    assert own | set(Job.__struct_fields__) < set(read.columns)
    assert {"run", "inference_latency_p50_seconds", "limit_share_of_peak"} < set(read.columns)
    assert not (nested | parts) & set(read.columns)
    assert len(read) == 10
    assert set(read["run"]) == {"the-run"}
    assert read["throughput_images_per_second"].sum() == 879_000
    assert read["peak_memory_bytes"].dropna().unique() == [300 * 2**20]
    assert read["device_peak_memory_bytes"].isna().all()
    assert read.loc[7, "reason"] == "<b>not done</b> | after 600 s & more"


def test_the_csv_contains_measurements_of_prediction(make, tmp_path):
    found = Inference(
        latency_p50_seconds=1e-3,
        latency_p95_seconds=2e-3,
        latency_p99_seconds=None,
        latency_calls=40,
        throughput_images_per_second=5e4,
        throughput_batch_size=1000,
        throughput_calls=3,
        compile_seconds=0.5,
        seconds=1.5,
    )
    time = TimeToAccuracy(0.98, False, 12.5, 3)
    trials = [make.trial(inference=found, time_to_accuracy=time, until_accuracy=0.98)]
    write_report([make.store(tmp_path / "run", trials)], formats=["csv", "markdown"])
    (row,) = pd.read_csv(tmp_path / "run" / "results.csv").to_dict("records")
    assert (row["inference_latency_calls"], row["time_to_accuracy_seconds"]) == (40, 12.5)
    assert math.isnan(row["inference_latency_p99_seconds"])
    text = (tmp_path / "run" / "report.md").read_text()
    assert "not reached within 3" in text
    assert re.search(r"torch eager +\| +1.00 +\| +2.00 +\| +.{1,3} +\| +50,000", text), text


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_the_csv_contains_no_formula(make, tmp_path, start):
    reason = f"{start}cmd|' /C calc'!A0"
    record = make.failed(reason=reason, seed=0, exit_status=-9)
    write_report([make.store(tmp_path / "run", [record])], formats=["csv"])
    with open(tmp_path / "run" / "results.csv", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["reason"] == f"'{reason}"
    assert (row["exit_status"], row["seed"]) == ("-9", "0")


def test_the_same_records_give_the_same_bytes(written, tmp_path):
    folder, paths = written
    again = write_report([folder], tmp_path / "again")
    assert [path.relative_to(tmp_path / "again") for path in again] == [
        path.relative_to(folder) for path in paths
    ]
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in paths]
    # A figure is drawn once for both files: without the page, its PNG comes first.
    for path in write_report([folder], tmp_path / "alone", ["figures"]):
        assert path.read_bytes() == (folder / "figures" / path.name).read_bytes()


def test_every_written_file_is_returned(written):
    folder, paths = written
    stored = {"manifest.json", "trials.jsonl", "certificates.json"}
    there = {path for path in folder.rglob("*") if path.is_file() and path.name not in stored}
    assert sorted(there) == sorted(paths)
    assert len(paths) == 3 + 8 * 2


def test_a_report_of_several_runs_names_them(make, tmp_path):
    folders = [make.store(tmp_path / name, [make.trial()]) for name in ("monday", "friday")]
    with pytest.raises(ValueError, match="received 2 runs and no output"):
        write_report(folders)
    write_report(folders, tmp_path / "both", ["csv", "markdown"])
    ranking = rows_of((tmp_path / "both" / "report.md").read_text(), "Ranking")
    assert {row[0] for row in ranking} == {"torch eager (monday)", "torch eager (friday)"}
    assert set(pd.read_csv(tmp_path / "both" / "results.csv")["run"]) == {"monday", "friday"}


def test_a_report_needs_a_run():
    with pytest.raises(ValueError, match="no run folder"):
        write_report([])


def test_a_report_that_cannot_be_written_is_an_error_with_its_path(make, tmp_path):
    folder = make.store(tmp_path / "run", [])
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordError, match=r"file/report.html: cannot be written"):
        write_report([folder], tmp_path / "file")


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_run_without_a_measurement_has_a_report(make, tmp_path, count):
    records = [make.failed(outcome="out_of_memory", repeat=r + 1) for r in range(count)]
    paths = write_report([make.store(tmp_path / "run", records)])
    assert [path.name for path in paths] == ["report.html", "report.md", "results.csv"]
    text = paths[1].read_text()
    assert ("Nothing was measured" in text) == (count > 0)
    assert ("holds no trial" in text) == (count == 0)
    assert text.count("out_of_memory") == (2 if count else 0)


def test_one_trial_of_one_epoch_has_a_report(make, tmp_path):
    record = make.trial(epochs=1, per_epoch=make.trial().per_epoch[:1])
    assert len(write_report([make.store(tmp_path / "run", [record])])) == 3 + 4 * 2


def test_long_names_and_many_contenders_fit(make, tmp_path):
    name = "a_very_long_model_name_$" * 20
    records = [
        make.trial("torch", f"mode{number}", model=name, throughput_images_per_second=1.0 + number)
        for number in range(100)
    ]
    records.append(make.failed(model=name, reason="why " * 5_000))
    paths = write_report([make.store(tmp_path / "run", records)])
    text = (tmp_path / "run" / "report.md").read_text()
    assert len(rows_of(text, "Ranking")) == 100 + 1
    assert "There are too many pairs for a table" in text
    assert f"Drawn are the {MOST_ROWS} fastest of 100" in text
    assert max(len(path.name) for path in paths) < 100
    assert "why why…" in text
    assert "why " * 200 not in text


@pytest.mark.process
def test_importing_reports_does_not_load_heavy_packages():
    program = "import sys, {}; print(*(name for name in {} if name in sys.modules))"
    heavy = ["numpy", "pandas", "matplotlib", "jinja2", "plotly", "torch", "tensorflow", "jax"]

    def loaded(module):
        command = [sys.executable, "-c", program.format(module, heavy)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()

    assert loaded("reports") == []
    assert "matplotlib" not in loaded("reports.documents.terminal")
    assert set(loaded("reports.write")) == {"numpy", "pandas", "matplotlib", "jinja2", "plotly"}
