"""The command line: parses, calls the folder that does the work, prints. No work is done here.

Exit codes: 0 ok, 1 a gate failed, 2 wrong usage, 130 interrupted. Every `MocktrialError` becomes one line
that says what and where, and the next command; a traceback is a bug. What a verb needs is imported inside
it, so that `mocktrial --help` loads neither torch nor the ledger.
"""

from __future__ import annotations

import errno
import os
import sys
from typing import Annotated

import typer

from mocktrial import __version__
from mocktrial.commands import (
    certify,
    datasets,
    doctor,
    exchange,
    gateway,
    judges,
    recommend,
    runs,
    scores,
    serve,
    slurp,
    study,
    train,
    view,
)
from mocktrial.mocktools.errors import MocktrialError, UsageError

app = typer.Typer(
    name="mocktrial",
    help="Mock worlds that turn small models into agents. Start with: mocktrial demo",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
# in the order of --help
for verbs in (
    datasets,
    runs,
    scores,
    view,
    certify,
    judges,
    train,
    study,
    slurp,
    recommend,
    serve,
    gateway,
    exchange,
    doctor,
):
    app.add_typer(verbs.app)
_UNWRITTEN = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EPIPE)  # what standard output may say


def _tell_version(asked: bool) -> None:
    if asked:
        typer.echo(f"mocktrial {__version__}")
        raise typer.Exit


@app.callback()
def observed(
    log_json: Annotated[
        bool, typer.Option("--log-json", envvar="MOCKTRIAL_LOG_JSON", help="Say what happens as lines of JSON, too.")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Say which mocktrial this is.")
    ] = False,
) -> None:
    """Mock worlds that turn small models into agents. Start with: mocktrial demo"""
    if log_json:
        from mocktrial.mocktools.observing.logs import log_json as begin

        begin()


def main() -> None:
    """Entry point: turns every foreseen error into one line and an exit code."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # on numpy's small matrices threads of many processes but wait
    try:
        try:
            app()
        finally:
            if sys.stdout:  # none where it was closed before we began
                sys.stdout.flush()
    except MocktrialError as error:
        line = f"mocktrial: {error}" + (f"; {error.hint}" if error.hint else "")
        print(line, file=sys.stderr)
        sys.exit(2 if isinstance(error, UsageError) else 1)
    except OSError as error:
        if error.filename or error.errno not in _UNWRITTEN:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python would try again when it ends
        if error.errno != errno.EPIPE:  # whoever reads has seen enough
            print(f"mocktrial: the output cannot be written: {error.strerror}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
