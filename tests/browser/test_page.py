"""The page in a real browser, opened from disk without a network."""

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread
from support import records

from reports.analysis.rankings import rankings_of
from reports.analysis.runs import read_sources
from reports.analysis.weighing import decide, parse_weights


def state(page):
    return page.evaluate("location.hash")


def first_column(page, section):
    """Return the names in the visible table of the section."""
    rows = page.locator(f"#{section} [data-ranking]:visible tbody:first-of-type tr:visible > th")
    return rows.all_inner_texts()


def drawn(page, section):
    """Return the traces of the visible chart of the section."""
    place = page.locator(f"#{section} [data-chart]:visible").first
    place.scroll_into_view_if_needed()
    page.wait_for_function(
        "place => place.dataset.drawn > 0", arg=place.element_handle(), timeout=30_000
    )
    return place.evaluate("place => place.data.map(({x, y, name}) => ({x, y, name}))")


def test_every_chart_is_drawn_with_its_numbers(visit):
    page = visit()
    bars = drawn(page, "ranking")[0]
    assert bars["y"][:2] == ["tensorflow xla", "jax scan"]
    # A slice has a whole number of images.
    assert bars["x"][0] == pytest.approx(230_000 * 0.05 * 0.5**0.5 * 1.02, rel=1e-3)
    for section in ("trade-offs", "accuracy", "break-even", "scaling", "memory", "phases"):
        traces = drawn(page, section)
        assert sum(len(trace["x"]) for trace in traces) >= 6, section


def test_slices_are_above_or_below_the_line_of_their_contender(visit):
    page = visit()
    traces = drawn(page, "rounds")
    assert [trace["name"] for trace in traces][:2] == ["tensorflow xla", "jax scan"]
    slow, usual, fast, disturbed = traces[1]["y"][:4]
    assert usual == pytest.approx(1, abs=0.05), "the second row"
    assert fast < usual < slow <= disturbed < 1.5
    place = page.locator("#rounds [data-chart]:visible").first
    colours = place.evaluate("place => place.data[1].marker.color.slice(0, 4)")
    assert colours[0] == colours[1] != colours[3]
    names = page.locator("#rounds [data-chart]:visible .annotation-text").all_text_contents()
    assert names == ["repeat 1", "repeat 2", "repeat 3"]
    page.get_by_role("button", name="jax", exact=True).click()
    page.wait_for_function("place => place.dataset.drawn === '4'", arg=place.element_handle())


def test_a_filter_shows_another_ranking_and_is_stored_in_the_address(visit):
    page = visit()
    assert page.locator("#ranking h3:visible").inner_text() == "lenet5 on cpu, batch size 32"
    page.get_by_label("Model", exact=True).select_option("mlp")
    page.get_by_label("Batch size", exact=True).select_option("256")
    assert page.locator("#ranking h3:visible").inner_text() == "mlp on cpu, batch size 256"
    estimate = 230_000 * 2 * (1.01 * 1.02 * 1.03) ** (1 / 3)
    assert drawn(page, "ranking")[0]["x"][0] == pytest.approx(estimate)
    again = visit(state(page))
    assert again.locator("#ranking h3:visible").inner_text() == "mlp on cpu, batch size 256"


def test_a_disabled_backend_disappears_from_tables_and_charts(visit):
    page = visit()
    page.get_by_role("button", name="jax", exact=True).click()
    page.get_by_role("button", name="compile", exact=True).click()
    assert not [name for name in first_column(page, "ranking") if "jax" in name]
    assert "torch compile" not in drawn(page, "ranking")[0]["y"]
    again = visit(state(page))
    assert "jax scan" not in drawn(again, "ranking")[0]["y"]
    again.get_by_role("button", name="Show all").click()
    assert "jax scan" in first_column(again, "ranking")
    assert "hide" not in state(again)


def test_a_column_sorts_in_both_directions_and_resets(visit):
    page = visit()
    before = first_column(page, "ranking")
    memory = page.locator("#ranking [data-ranking]:visible").get_by_role(
        "button", name="Peak memory"
    )
    memory.click()
    assert first_column(page, "ranking")[0] == "tensorflow xla"
    assert page.locator('#ranking th[aria-sort="descending"]:visible').count() == 1
    memory.click()
    assert first_column(page, "ranking")[:2] == [before[-1], "numpy eager"]
    assert first_column(visit(state(page)), "ranking")[1] == "numpy eager"
    memory.click()
    assert first_column(page, "ranking") == before


def test_contenders_without_a_rank_stay_below_the_line_with_a_reason(visit):
    page = visit()
    page.locator("#ranking [data-ranking]:visible").get_by_role("button", name="Contender").click()
    below = page.locator("#ranking [data-ranking]:visible tbody.below tr")
    assert below.nth(0).inner_text().startswith("numpy other")
    assert "not comparable" in below.nth(0).inner_text()
    assert "crashed: <img src=x" in below.nth(1).inner_text()


def test_the_trade_off_chart_and_its_table_follow_the_selection(visit):
    page = visit()
    page.get_by_label("Across", exact=True).select_option("first_step_seconds")
    rows = page.locator("#trade-offs [data-ranking]:visible tbody tr").all_inner_texts()
    on_front = {row.split("\t")[0] for row in rows if row.endswith("yes")}
    assert on_front == {"tensorflow xla", "jax scan", "numpy eager"}
    assert "x=first_step_seconds" in state(page)


def weigh(page, key, value):
    slider = page.locator(f'[data-metric="{key}"] input[type="range"]')
    slider.evaluate(
        "(slider, value) => { slider.value = value; slider.dispatchEvent(new Event('input')); }",
        str(value),
    )


def verdict(page):
    rows = page.locator("#decision .verdict tbody tr").all_inner_texts()
    return {row.split("\t")[0]: float(row.split("\t")[1]) for row in rows}


@pytest.mark.parametrize(
    "text",
    ["throughput=1,memory=1", "throughput=1,memory=3", "throughput=0.5,cold_start=2,memory=1"],
)
def test_weights_rank_contenders_like_the_command_line(visit, run, text):
    page = visit()
    weights = parse_weights(text)
    for key in ("throughput_images_per_second", "peak_memory_bytes"):
        weigh(page, key, 0)
    for metric, weight in weights.items():
        weigh(page, metric.key, weight)
    ranking = rankings_of(read_sources([run]))[0]
    decision = decide(ranking.contenders, weights)
    expected = {contender.label: round(score, 3) for contender, score in decision.ranked}
    shown = verdict(page)
    assert list(shown) == list(expected)
    assert list(shown.values()) == pytest.approx(list(expected.values()), abs=0.0011)
    verdict_text = page.locator("#decision .verdict").inner_text()
    assert f"{decision.ranked[0][0].label} wins" in verdict_text
    for room in decision.room:
        if room.above:
            assert f"{room.above} wins" in verdict_text
    assert verdict(visit(state(page))) == shown


def test_a_limit_excludes_contenders_that_exceed_it(visit):
    page = visit()
    limit = page.locator('[data-metric="peak_memory_bytes"] input[type="number"]')
    limit.fill("700")
    assert next(iter(verdict(page))) == "numpy eager"
    assert (
        "jax scan (not peak memory at most 700 MiB: 712 MiB)"
        in page.locator("#decision").inner_text()
    )
    limit.fill("1")
    assert "No contender is within these limits" in page.locator("#decision").inner_text()


def test_a_crossover_is_described(visit):
    text = visit().locator("#scaling").inner_text()
    assert "jax jit overtakes numpy eager between 64 and 256." in text


def test_the_page_offers_its_data_for_download(visit, run):
    page = visit()
    with page.expect_download() as csv:
        page.get_by_role("button", name="Trials as CSV").click()
    text = csv.value.path().read_text()
    assert text.startswith("run,schema_version,trial")
    assert len(re.findall("(?m)^run,2,", text)) == len(
        (run / "trials.jsonl").read_bytes().splitlines()
    )
    with page.expect_download() as file:
        page.get_by_role("button", name="All as JSON").click()
    assert len(json.loads(file.value.path().read_text())["rankings"]) == 6


def test_text_of_a_record_is_never_interpreted_as_markup(visit):
    page = visit()
    for section in ("ranking", "trade-offs", "accuracy", "memory", "phases", "rounds"):
        drawn(page, section)
    assert page.evaluate("window.hit") is None
    assert page.locator("main img").count() == 0
    labels = page.locator("#ranking [data-chart]:visible .ytick text").all_text_contents()
    assert any(label.startswith("<img src=x") for label in labels)


def test_controls_can_be_used_with_the_keyboard(visit):
    page = visit()
    page.get_by_label("Model", exact=True).focus()
    page.keyboard.press("ArrowDown")
    assert page.locator("#ranking h3:visible").inner_text().startswith("mlp")
    assert page.evaluate("document.activeElement.dataset.filter") == "model"
    toggle = page.get_by_role("button", name="jax", exact=True)
    toggle.focus()
    page.keyboard.press("Space")
    assert toggle.get_attribute("aria-pressed") == "false"
    assert page.evaluate("document.activeElement.dataset.filter") == "backend:jax"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("shape", ["desk", "phone"])
def test_axe_finds_no_serious_violation(visit, shapes, scheme, shape):
    assert serious_violations(visit(color_scheme=scheme, **getattr(shapes, shape))) == []


def serious_violations(page):
    """Return the violations that axe rates serious or critical."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="no axe installed")
    found = axe.Axe().run(page).response["violations"]
    return [
        (fault["id"], fault["nodes"][0]["html"][:200])
        for fault in found
        if fault["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("shape", ["desk", "phone", "print"])
def test_the_page_renders_in_every_colour_scheme_and_size(visit, shapes, scheme, shape, tmp_path):
    """Set EVENBENCH_SCREENSHOTS to a folder to keep the pictures."""
    page = visit(color_scheme=scheme, **vars(shapes).get(shape, shapes.desk))
    drawn(page, "ranking")
    if shape == "print":
        page.emulate_media(media="print", color_scheme=scheme)
        page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
        overview = page.locator("#answer tbody th").first
        assert overview.inner_text() == "lenet5 on cpu, batch size 32"
        page.wait_for_function(
            "() => getComputedStyle(document.querySelector('#ranking .part:not([hidden]) .ytick "
            "text')).fill === 'rgb(0, 0, 0)'"
        )
    page.evaluate("scrollTo(0, 0)")
    folder = Path(os.environ.get("EVENBENCH_SCREENSHOTS", tmp_path))
    path = folder / f"{shape}-{scheme}.png"
    page.screenshot(path=path)
    grey = imread(path)[..., :3].mean(axis=-1)
    is_dark = scheme == "dark" and shape != "print"  # paper is white
    assert (np.median(grey) < 0.3) if is_dark else (np.median(grey) > 0.9)
    assert grey.std() > 0.05, "there is something on it"


def test_figures_of_wrong_predictions_are_shown(visit):
    page = visit()
    part = page.locator("#errors .part:visible")
    assert part.locator("svg").count() >= 3
    assert part.locator("svg image").count() >= 8
    assert part.locator("table").count() == 2, "those of the ranking that is chosen"
    assert page.locator("#steps .part:visible svg").count() == 1


def test_a_phone_scrolls_only_vertically(visit, shapes):
    page = visit(**shapes.phone)
    for section in ("ranking", "trade-offs", "accuracy", "rounds"):
        drawn(page, section)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_page_prints_its_charts_without_controls(visit, tmp_path):
    page = visit()
    page.emulate_media(media="print")
    assert not page.locator("#filters").is_visible()
    assert not page.locator("#decision .weights").is_visible()
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    page.wait_for_function("document.querySelector('#phases .plot[data-drawn]') !== null")
    page.pdf(path=tmp_path / "page.pdf")
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")


def test_the_page_without_scripts_has_tables_and_figures(chromium, page_file):
    context = chromium.new_context(offline=True, java_script_enabled=False)
    page = context.new_page()
    page.goto(page_file.as_uri())
    assert page.locator("#ranking table:visible").count() == 6
    assert page.locator("#ranking svg:visible").count() == 6
    assert page.locator("#filters:visible, .plot:visible, #decision:visible").count() == 0
    context.close()


def test_the_page_follows_the_colour_scheme(visit):
    colours = set()
    for scheme in ("light", "dark"):
        page = visit(color_scheme=scheme)
        drawn(page, "ranking")
        label = page.locator("#ranking [data-chart]:visible .ytick text").first
        colours.add(label.evaluate("label => getComputedStyle(label).fill"))
    assert len(colours) == 2


def test_the_page_of_a_history_renders(chromium, tmp_path):
    from reports.documents.history import history_report, series_of
    from reports.metrics import THROUGHPUT
    from reports.write import write_history

    folders = [
        records.store(
            tmp_path / f"day{day}",
            records.repeated("torch", "eager", [level, level * 1.01]),
            started_at=f"2026-01-0{day}T00:00:00+00:00",
        )
        for day, level in enumerate((100.0, 101.0, 99.0, 100.5, 60.0, 61.0, 60.5), start=1)
    ]
    series = series_of(read_sources(folders), THROUGHPUT)
    path = write_history(history_report(series, THROUGHPUT, 7), series, THROUGHPUT, tmp_path)
    context = chromium.new_context(offline=True)
    page = context.new_page()
    faults = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(path.as_uri())
    page.wait_for_selector("html[data-ready]", timeout=60_000)
    line, marks = drawn(page, "history")
    assert len(line["x"]) == 7
    assert [str(x)[:10] for x in marks["x"]] == ["2026-01-05"]
    assert faults == []
    assert serious_violations(page) == []
    context.close()
