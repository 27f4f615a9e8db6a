"""`bench.run(...)`: run a benchmark from a script or a notebook."""

import contextlib
import os
import threading
from pathlib import Path
from typing import Any

from bench.cli.console import message_console
from bench.cli.machines import Where, machines_for
from bench.cli.progress import observer_for
from bench.cli.sessions import print_lines
from bench.records.manifest import NodesChoice
from bench.run.interrupts import Interrupts
from bench.run.request import request_of
from bench.run.session import new_session


def run(
    output: str | os.PathLike[str] | None = None,
    progress: bool = False,
    cluster: str | None = None,
    nodes: NodesChoice = "any",
    accelerator_type: str = "",
    **options: Any,
) -> Path:
    """Run a benchmark.

    Args:
        output: the run's folder; None makes one under runs/.
        progress: whether notes and a line per trial are printed to standard error.
        cluster: address of a Ray cluster; None measures on this machine.
        nodes: as --nodes.
        accelerator_type: as --accelerator-type.
        **options: the other options of `bench run`.

    Returns:
        The run's folder.

    Raises:
        bench.errors.UserError: an option is invalid, or the trials are not possible here.
        KeyboardInterrupt: the user stopped the run.
    """
    messages = message_console(quiet=not progress)
    interrupts = Interrupts()
    request = request_of(options)
    where = Where(cluster, nodes, accelerator_type)
    machines = machines_for(request, where, interrupts, messages)
    command = f"bench.run({', '.join(f'{name}={value!r}' for name, value in options.items())})"
    folder = None if output is None else Path(output)
    session = new_session(request, machines, command, folder, report=messages.print)
    print_lines(session.plan.remarks(), messages)
    # Only the main thread can handle signals.
    is_main = threading.current_thread() is threading.main_thread()
    listening = interrupts.listening() if is_main else contextlib.nullcontext()
    with listening, observer_for(messages, len(session.trials)) as observer:
        path = session.run(observer, interrupts, messages.print)
    if interrupts.requested:
        raise KeyboardInterrupt(f"resume with: bench run --resume {path}")
    return path
