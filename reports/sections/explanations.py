"""Sections on what trials explain after measuring: single steps, and what the models answer.

Steps: how their times are distributed, and what calling each one costs. Answers: errors by class,
disputed images, saliency.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import numpy.typing as npt

from bench.spec.weights import IntArray
from reports.analysis.contenders import Contender
from reports.analysis.predictions import Answers, answers_of, confusion, explained
from reports.analysis.rankings import Ranking
from reports.analysis.runs import Source
from reports.display import NOT_KNOWN, count, listed, significant
from reports.document import Part, Picture, Section, Table, numbers, texts
from reports.figures import images
from reports.figures.bars import strips
from reports.figures.canvas import MOST_ROWS, picture
from reports.figures.gallery import MOST_RANKINGS, stems_of
from reports.metrics import THROUGHPUT

Seconds = npt.NDArray[np.float64]  # (calls,)
Timed = tuple[Contender, Seconds]

_MILLISECONDS = significant(3, 1e3)
_PERCENTILES = (5, 50, 95, 99)
_STEPS = (
    "Each step is a separate call that waits for the device, in the first trial of each contender, "
    "after everything else was measured. The last column is a step within an epoch's single call, "
    "which the throughput counts: the difference is what a framework saves by running ahead."
)
_DOTS = (
    "Each dot is a call; the bar runs from the 5th to the 95th percentile, its notch is the "
    "median. The axis is logarithmic."
)

MOST_CONTENDERS = 12
MOST_IMAGES = 16
MOST_CLASSES = 62  # of a table of errors: letters and digits

_ANSWERS = (
    "By the first trial of each contender. Equal work from equal weights still answers a few "
    "images differently, since rounding differs; a contender whose errors are of another kind does "
    "other work."
)
_ERRORS = (
    "Rows are labels, columns answers; numbers are images. Contenders with the same errors share a "
    "matrix. The diagonal, which holds the right answers, is left empty."
)
_DISPUTED = "Those with most dissent first: the label, then each answer with who gave it."
_SALIENCY = (
    "The gradient of the answer's logit by each pixel, its largest black; below each image the "
    "answer. Computed by the reference with the weights that the contender trained."
)


def step_sections(rankings: Sequence[Ranking], sources: Sequence[Source]) -> list[Section]:
    """Return the section; none if no run timed single steps."""
    parts = []
    for place, (ranking, stem) in enumerate(zip(rankings, stems_of(rankings), strict=True)):
        timed = [
            (contender, np.array(each.told.step_seconds))
            for contender, each in explained(ranking, sources)
            if each.told.step_seconds
        ]
        if timed:
            drawn = place < MOST_RANKINGS
            made = _step_part(ranking, timed, stem if drawn else None)
            parts.append(replace(made, ranking=place))
    intro = _STEPS if parts else ""
    return [Section("steps", "Single steps", tuple(parts), intro, reference=True)] if parts else []


def _step_part(ranking: Ranking, timed: Sequence[Timed], stem: str | None) -> Part:
    columns = (
        *texts("Contender"),
        *numbers(
            "Calls", *(f"p{percentile}, ms" for percentile in _PERCENTILES), "Within an epoch, ms"
        ),
    )
    batch = int(ranking.choices["batch_size"])
    rows = tuple((contender.label, *_step_cells(contender, own, batch)) for contender, own in timed)
    table = Table(f"{ranking.title}: times of single steps", columns, rows)
    figure = _drawn_steps(ranking, timed, stem) if stem else None
    return Part(heading=ranking.title, picture=figure, table=table)


def _step_cells(contender: Contender, seconds: Seconds, batch: int) -> tuple[str, ...]:
    found = np.percentile(seconds, _PERCENTILES).tolist()
    throughput = contender[THROUGHPUT].value
    within = _MILLISECONDS(batch / throughput) if throughput > 0 else NOT_KNOWN
    return f"{len(seconds):,}", *map(_MILLISECONDS, found), within


def _drawn_steps(ranking: Ranking, timed: Sequence[Timed], stem: str) -> Picture:
    shown = timed[:MOST_ROWS]
    contenders = [contender for contender, _ in shown]
    times = [seconds * 1e3 for _, seconds in shown]
    draw = partial(strips, "Times of single steps, ms", ranking.title, contenders, times)
    description = f"Times of single steps, {ranking.title}, {count(len(shown), 'contender')}."
    return picture(f"steps-{stem}", description, _DOTS, draw)


def prediction_sections(rankings: Sequence[Ranking], sources: Sequence[Source]) -> list[Section]:
    """Return the section; none if no run recorded predictions."""
    stems = stems_of(rankings)
    parts: list[Part] = []
    for position, ranking in enumerate(rankings[:MOST_RANKINGS]):
        answers = answers_of(ranking, sources, MOST_CONTENDERS)
        if answers is not None:
            made = _parts(answers, stems[position])
            parts += (replace(part, ranking=position) for part in made)
    section = Section("errors", "What they get wrong", tuple(parts), _ANSWERS, reference=True)
    return [section] if parts else []


def _parts(answers: Answers, stem: str) -> Iterator[Part]:
    yield _errors(answers, stem)
    drawn = [place for place in answers.disputed if place in answers.pictures][:MOST_IMAGES]
    if drawn:
        yield _disputed(answers, drawn, stem)
    saliency = _saliency(answers, stem)
    if saliency is not None:
        yield saliency


def _errors(answers: Answers, stem: str) -> Part:
    size = 1 + max(answers.labels.max(), *(m.classes.max() for m in answers.members))
    tables = [confusion(answers.labels, member.classes, size) for member in answers.members]
    labels = [member.label for member in answers.members]
    wrong = [int((member.classes != answers.labels).sum()) for member in answers.members]
    drawn = picture(
        f"errors-{stem}",
        f"Errors by class, {answers.title}: "
        + listed([f"{who} {n:,}" for who, n in zip(labels, wrong, strict=True)]),
        _ERRORS,
        partial(images.confusion, answers.title, labels, tables),
    )
    paragraphs = [_agreement(answers)] if len(answers.members) > 1 else []
    paragraphs += [
        f"{member.label}: {problem}."
        for member in answers.members
        for problem in member.details.problems
    ]
    table = _error_table(answers, tables) if size <= MOST_CLASSES else None
    return Part(heading=answers.title, paragraphs=tuple(paragraphs), picture=drawn, table=table)


def _agreement(answers: Answers) -> str:
    images_in_all = count(len(answers.labels), "test image")
    table = np.stack([member.classes for member in answers.members])
    wrong = int((table != answers.labels).all(axis=0).sum())
    return (
        f"Of {images_in_all} the {count(len(answers.members), 'contender')} answer "
        f"{len(answers.disputed):,} differently; {wrong:,} all of them get wrong."
    )


def _error_table(answers: Answers, tables: Sequence[IntArray]) -> Table:
    """Return a table with a row per contender and label, and a column per answer."""
    answered = (f"as {answer}" for answer in range(len(tables[0])))
    columns = (*texts("Contender"), *numbers("Label", *answered))
    rows = tuple(
        (member.label, str(label), *(f"{n:,}" for n in line))
        for member, table in zip(answers.members, tables, strict=True)
        for label, line in enumerate(table.tolist())
        if sum(line)
    )
    return Table(f"{answers.title}: test images by label and answer", columns, rows)


def _disputed(answers: Answers, drawn: Sequence[int], stem: str) -> Part:
    title = f"{answers.title}: images answered differently"
    captions = ["\n".join(_caption(answers, place)) for place in drawn]
    figure = picture(
        f"disputed-{stem}",
        f"{title}: {count(len(drawn), 'image')}; the table below says who answers what.",
        _DISPUTED,
        partial(images.disputed, answers.title, [answers.pixels(p) for p in drawn], captions),
    )
    columns = numbers("Test image", "Label", *(member.label for member in answers.members))
    rows = tuple(
        (
            f"{place:,}",
            str(answers.labels[place]),
            *(str(m.classes[place]) for m in answers.members),
        )
        for place in drawn
    )
    return Part(picture=figure, table=Table(title, columns, rows))


def _caption(answers: Answers, place: int) -> Iterator[str]:
    """Yield the label, then each answer with the contenders that gave it, the rarest last."""
    yield f"label {answers.labels[place]}"
    given: dict[int, list[str]] = {}
    for member in answers.members:
        given.setdefault(int(member.classes[place]), []).append(member.label)
    for answer, who in sorted(given.items(), key=lambda item: -len(item[1])):
        yield f"{answer}: {who[0] if len(who) == 1 else count(len(who), 'contender')}"


def _saliency(answers: Answers, stem: str) -> Part | None:
    """Return the figure of the images that all members share, with each member's saliency."""
    shown = [place for place in answers.members[0].details.examples if place in answers.pictures][
        :10
    ]
    rows = []
    for member in answers.members:
        shades = dict(zip(member.details.examples, answers.saliency(member), strict=False))
        if shown and all(place in shades for place in shown):
            given = [str(member.classes[place]) for place in shown]
            rows.append((member.label, [shades[place] for place in shown], given))
    if not rows:
        return None
    pixels = [answers.pixels(place) for place in shown]
    title = f"{answers.title}: pixels that the answer hangs on"
    described = (
        f"{title}, for {count(len(shown), 'test image')} and {listed([r[0] for r in rows])}."
    )
    draw = partial(images.saliency, answers.title, pixels, rows)
    return Part(picture=picture(f"saliency-{stem}", described, _SALIENCY, draw))
