"""An edition: the runs of a report and what follows from them, each made when it is asked for."""

from collections.abc import Sequence
from functools import cached_property

from reports.analysis.rankings import Ranking, rankings_of
from reports.analysis.runs import Source
from reports.display import count, listed, plain
from reports.document import Report
from reports.figures.gallery import Gallery, draw_all
from reports.sections.absences import absence_sections
from reports.sections.adoption import adopting_sections
from reports.sections.baselines import baseline_sections
from reports.sections.context import context_sections
from reports.sections.measurement import measurement_sections
from reports.sections.native_arm import arm_sections
from reports.sections.parallel import parallel_sections
from reports.sections.predictions import prediction_sections
from reports.sections.results import result_sections
from reports.sections.steps import step_sections


class Edition:
    """What every document of a report is made from."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self.sources = sources

    @cached_property
    def rankings(self) -> list[Ranking]:
        """The rankings of the runs."""
        return rankings_of(self.sources)

    @cached_property
    def gallery(self) -> Gallery:
        """The drawn figures."""
        return draw_all(self.rankings)

    @cached_property
    def report(self) -> Report:
        """The document."""
        sections = (
            *result_sections(self.rankings, self.gallery),
            *baseline_sections(self.sources),
            *parallel_sections(self.sources),
            *step_sections(self.rankings, self.sources),
            *arm_sections(self.sources),
            *prediction_sections(self.rankings, self.sources),
            *absence_sections(self.rankings, self.sources),
            *measurement_sections(self.sources),
            *adopting_sections(self.sources),
            *context_sections(self.sources),
        )
        return Report(_title(self.sources), _subtitle(self.sources, self.rankings), sections)


def _title(sources: Sequence[Source]) -> str:
    titles = {source.run.manifest.title for source in sources}
    if len(titles) == 1 and (title := plain(titles.pop())):
        return title
    trials = [trial for source in sources for trial in source.run.trials]
    backends = listed(sorted({plain(trial.job.backend) for trial in trials})) or "nothing"
    datasets = listed(sorted({plain(source.run.manifest.dataset.name) for source in sources}))
    return f"{backends} on {datasets}"


def _subtitle(sources: Sequence[Source], rankings: Sequence[Ranking]) -> str:
    trials = count(sum(len(source.run.trials) for source in sources), "trial")
    contenders = count(sum(len(ranking.measured) for ranking in rankings), "contender")
    machines = listed(list(dict.fromkeys(source.machine for source in sources)))
    runs = listed([source.name for source in sources])
    return f"evenbench: {trials}, {contenders} measured, on {machines}, run {runs}"
