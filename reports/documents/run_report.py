"""An edition: the runs of a report and everything that is computed from them when needed."""

from collections.abc import Sequence
from functools import cached_property

import pandas as pd

from reports.analysis.rankings import Ranking, rankings_of
from reports.analysis.runs import Source
from reports.analysis.trials import trial_frame
from reports.display import count, listed, plain
from reports.document import Report
from reports.figures.gallery import Gallery, gallery_of
from reports.sections.absences import absence_sections
from reports.sections.context import context_sections
from reports.sections.counterparts import baseline_sections, parallel_sections
from reports.sections.explanations import prediction_sections, step_sections
from reports.sections.frameworks import adopting_sections, arm_sections
from reports.sections.measurement import measurement_sections, rounds_sections
from reports.sections.results import result_sections


class Edition:
    """The runs of a report with what every document of it is made from."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self.sources = sources

    @cached_property
    def trials(self) -> pd.DataFrame:
        """The trials of the runs."""
        return trial_frame(self.sources)

    @cached_property
    def rankings(self) -> list[Ranking]:
        """The rankings of the runs."""
        return rankings_of(self.sources, self.trials)

    @cached_property
    def gallery(self) -> Gallery:
        """The figures of the rankings."""
        return gallery_of(self.rankings)

    @cached_property
    def report(self) -> Report:
        """The document."""
        sections = (
            *result_sections(self.rankings, self.gallery),
            *baseline_sections(self.sources, self.trials),
            *parallel_sections(self.trials),
            *step_sections(self.rankings, self.sources),
            *arm_sections(self.sources, self.trials),
            *prediction_sections(self.rankings, self.sources),
            *absence_sections(self.rankings, self.sources),
            *rounds_sections(self.rankings, self.gallery, self.sources),
            *measurement_sections(self.sources, self.trials),
            *adopting_sections(self.sources, self.trials),
            *context_sections(self.sources),
        )
        return Report(self._title, _subtitle(self.sources, self.rankings), sections)

    @property
    def _title(self) -> str:
        titles = {source.run.manifest.title for source in self.sources}
        if len(titles) == 1 and (title := plain(titles.pop())):
            return title
        backends = listed(sorted(map(plain, self.trials["backend"].unique()))) or "nothing"
        names = {plain(source.run.manifest.dataset.name) for source in self.sources}
        return f"{backends} on {listed(sorted(names))}"


def _subtitle(sources: Sequence[Source], rankings: Sequence[Ranking]) -> str:
    trials = count(sum(len(source.run.trials) for source in sources), "trial")
    contenders = count(sum(len(ranking.measured) for ranking in rankings), "contender")
    machines = listed(list(dict.fromkeys(source.machine for source in sources)))
    runs = listed([source.name for source in sources])
    return f"evenbench: {trials}, {contenders} measured, on {machines}, run {runs}"
