"""The command line.

Each command lives in a module of its own and is imported when it is called, so that `--help`
answers at once.
"""

import importlib
import sys

import click

from bench import __version__
from bench.errors import UserError

# In this module `list` is the command bench.cli.list once that has been imported, not the built-in.
COMMANDS = {
    "run": "Train the models in every backend asked for and write a report.",
    "plan": "Print what a run file would do, what of it is done, and how long the rest takes.",
    "verify": "Prove that backends do the work that the spec states.",
    "doctor": "Examine the machine, its limits, and whether each backend's clock can be trusted.",
    "env": "List, make and remove environments that backends have of their own.",
    "list": "Show the backends and models there are.",
    "report": "Write the report of earlier runs again, or of several together.",
    "compare": "Compare a new run with an old one; a gate against regressions.",
    "decide": "Rank contenders by your own weights and limits.",
    "history": "Show how contenders changed over many runs.",
}


class LazyGroup(click.Group):
    """A group that knows its commands' names and imports one only when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of the table above."""
        return [*COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"bench.cli.{cmd_name}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands in the help, from the table, so that none is imported."""
        with formatter.section("Commands"):
            formatter.write_dl([*COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="evenbench")
def cli() -> None:
    """Compare deep-learning frameworks on equal work.

    One model spec is trained in every framework with the same initial weights, batch order and
    arithmetic, each lowered to what an expert in it writes. `bench run --backends all` measures
    everything that is installed here and writes a report.

    Exit status: 0 all was measured, 1 some of it failed, 2 the command, or a file or folder it
    names, was of no use, 3 nothing was measured, 130 interrupted.
    """


def main() -> int:
    """Run the command line; a `UserError` ends it with its message and status 2."""
    try:
        status = cli.main(prog_name="bench", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.exceptions.Abort:
        return 130
    except UserError as error:
        click.echo(f"Error: {error}", err=True)
        return 2
    return status if isinstance(status, int) else 0


if __name__ == "__main__":
    sys.exit(main())
