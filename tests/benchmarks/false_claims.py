"""False claims with recorded noise: `PYTHONPATH=tests python -m benchmarks.false_claims`.

Prints the tables of docs/results/statistics.md that use recorded noise, as Markdown. It takes about
an hour with 2,000 runs; nothing is timed.
"""

from collections.abc import Iterator, Sequence

import click
import numpy as np
from support import claims
from support.recorded import DISTURBANCES, RECORDINGS, Runs, errors_of_slices, recording, simulate

NOISES = [*((name, "nothing") for name in RECORDINGS), *(("mlp", name) for name in DISTURBANCES)]
CONTENDERS = (2, 3, 10)
REPEATS = (2, 3, 4, 5, 6)
ROUNDS = (8, 20)
USUAL_ROUNDS = 15
MOST = 12  # repeats, of the few contenders that have undecided pairs
# Some equal, some closer than the margin of 5 %, some barely beyond it.
MIXED = {
    2: [1, 1.06],
    3: [1, 1.06, 1.2],
    10: [1, 1, 1, 1.02, 1.02, 1.05, 1.06, 1.1, 1.2, 2],
}


@click.command()
@click.option("--runs", default=2000, show_default=True, help="Simulated runs per figure.")
def main(runs: int) -> None:
    """Print how often verdicts about runs with recorded noise are false."""
    error = 100 * np.sqrt(0.05 * 0.95 / runs)
    print(f"{runs:,} runs per figure; a true 5 % has a standard error of {error:.1f} points.")
    columns = [f"{repeats} repeats" for repeats in REPEATS]
    for contenders in CONTENDERS:
        for rounds in ROUNDS:
            _header(f"{contenders} contenders, {rounds} rounds", columns)
            for name, disturbance in dict.fromkeys(NOISES):
                made = simulate(
                    name, DISTURBANCES[disturbance], contenders, REPEATS[-1], rounds, runs
                )
                added = "" if disturbance == "nothing" else f", {disturbance}"
                for family, cells in _rows(made, name, disturbance):
                    print(f"| {name}{added}: {family} | {' | '.join(cells)} |", flush=True)
    _print_looks(runs)
    _header("error of a ratio by disturbed slices, %", ["rounds", "median", "maximum"])
    for name in RECORDINGS:
        for rounds in (5, *ROUNDS):
            errors = 100 * errors_of_slices(name, rounds, runs)
            print(f"| {name} | {rounds} | {np.median(errors):.1f} | {errors.max():.1f} |")


def _rows(made: Runs, name: str, disturbance: str) -> Iterator[tuple[str, Sequence[str]]]:
    """Yield the rows of one kind of noise, each with a name and a cell per number of repeats."""
    contenders = made.logs.shape[2]
    equal, mixed = np.ones(contenders), np.array(MIXED[contenders])
    found = [claims.claims(made.logs, equal, claims.after(repeats)) for repeats in REPEATS]
    yield "equal, false %", [f"{100 * each.false:.1f}" for each in found]
    if disturbance not in ("nothing", "two speeds"):
        return
    found = [claims.claims(made.logs, mixed, claims.after(repeats)) for repeats in REPEATS]
    yield "mixed, false %", [f"{100 * each.false:.1f}" for each in found]
    yield "mixed, decided", [f"{each.decided:.1f}" for each in found]
    if contenders == 10 and disturbance == "nothing":
        own = recording(name).rates[made.noise_of]
        decided = [claims.claims(made.logs, own, claims.after(repeats)) for repeats in REPEATS]
        yield "as recorded, false %", [f"{100 * each.false:.1f}" for each in decided]
        yield "as recorded, decided", [f"{each.decided:.1f}" for each in decided]
        separate = [
            claims.decided_by_separate_variances(made.logs, own, repeats) for repeats in REPEATS
        ]
        yield "as recorded, decided, variance per pair", [f"{each:.1f}" for each in separate]


def _print_looks(runs: int) -> None:
    """Print the tables about runs that stop by themselves, with the noise of one recording."""
    for contenders in CONTENDERS:
        made = simulate("mlp", DISTURBANCES["nothing"], contenders, MOST, USUAL_ROUNDS, runs)
        for time in (3, REPEATS[-1]):
            analyses = {
                "one look at the end": claims.after(time),
                "looks after each repeat": claims.within(time),
                "looks after each repeat, each at 5 %": claims.greedily(time),
            }
            columns = ["equal, false %", "mixed, false %", "mixed, decided", "mixed, trials"]
            _header(f"{contenders} contenders, time for {time} repeats", columns)
            for name, analysis in analyses.items():
                equal, mixed = (
                    claims.claims(made.logs, np.array(speeds), analysis)
                    for speeds in (np.ones(contenders), MIXED[contenders])
                )
                cells = f"{100 * equal.false:.1f} | {100 * mixed.false:.1f}"
                print(
                    f"| {name} | {cells} | {mixed.decided:.1f} | {mixed.trials:.1f} |", flush=True
                )


def _header(title: str, columns: Sequence[str]) -> None:
    print(f"\n| {title} | {' | '.join(columns)} |\n|---|{'---:|' * len(columns)}", flush=True)


if __name__ == "__main__":
    main()
