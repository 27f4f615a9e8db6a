"""The command line.

Each command has its own module, which is imported when the command is called: `--help` is fast.
"""

import importlib
import sys
from collections.abc import Iterable
from typing import Any

import rich_click as click
from click.exceptions import Abort, ClickException

from bench import __version__
from bench.errors import UserError

# In this module `list` is the command bench.cli.list once that has been imported, not the built-in.
COMMANDS = {
    "run": "Train the models in every requested backend and write a report.",
    "plan": "Print what a run file would do, what of it is measured, and how long the rest takes.",
    "verify": "Prove that backends do the work that the spec states.",
    "doctor": "Examine the machine, its peak rates, and whether each backend's clock is right.",
    "env": "List, create and remove the environments of backends.",
    "list": "Show the available backends and models.",
    "report": "Write the report of one run again, or of several runs.",
    "compare": "Compare a new run with an old one; fail on regressions.",
    "decide": "Rank contenders by your own weights and limits.",
    "history": "Show how contenders changed over many runs.",
}
# Exit statuses of commands that measure or rank.
ALL_MEASURED, SOME_FAILED, NOTHING_MEASURED, INTERRUPTED = 0, 1, 3, 130
_SETTINGS = {
    "help_option_names": ["-h", "--help"],
    "rich_help_config": {"text_paragraph_linebreaks": "\n\n"},
}


class LazyGroup(click.RichGroup):
    """A group that knows its commands' names and imports a command only when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, in the order of the table above."""
        return [*COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command with a name and a help text, enough for the group's help."""
        if cmd_name not in COMMANDS:
            return None
        return click.RichCommand(name=cmd_name, help=COMMANDS[cmd_name])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Import the command that is called."""
        name, command, rest = super().resolve_command(ctx, args)
        if command is not None:
            command = importlib.import_module(f"bench.cli.{command.name}").command
        return name, command, rest


@click.group(cls=LazyGroup, context_settings=_SETTINGS)
@click.version_option(__version__, prog_name="evenbench")
def cli() -> None:
    """Compare deep-learning frameworks on equal work.

    One model spec is trained in every framework with the same initial weights, batch order and
    arithmetic, each written as an expert in that framework would write it. `bench run --backends
    all` measures everything that is installed here and writes a report.

    Exit status: 0 everything was measured, 1 some trial failed, 2 invalid options, file or folder,
    3 nothing was measured, 130 interrupted.
    """


def status_of(outcomes: Iterable[str]) -> int:
    """Return the exit status that says how much was measured, given the outcomes of all trials."""
    different = set(outcomes)
    if "ok" not in different:
        return NOTHING_MEASURED
    return ALL_MEASURED if different == {"ok"} else SOME_FAILED


def main() -> int:
    """Run the command line; a `UserError` ends it with its message and status 2."""
    try:
        status: Any = cli.main(prog_name="bench", standalone_mode=False)
    except ClickException as error:
        click.echo(f"Error: {error.format_message()}", err=True)
        if context := getattr(error, "ctx", None):
            click.echo(f"Try '{context.command_path} --help' for help.", err=True)
        return error.exit_code
    except Abort:
        return INTERRUPTED
    except UserError as error:
        click.echo(f"Error: {error}", err=True)
        return 2
    return status if isinstance(status, int) else 0


if __name__ == "__main__":
    sys.exit(main())
