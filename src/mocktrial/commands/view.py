"""`view`: what is on disk, as pages in a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mocktrial.commands.shared import Host, Port, Token, verbs

app = verbs()


@app.command(epilog="Example: mocktrial view --runs runs --datasets datasets --port 8099")
def view(
    runs: Annotated[str, typer.Option(help="Folder of runs, or the address of a shared ledger.")] = "runs",
    datasets: Annotated[Path, typer.Option(help="Folder of datasets.")] = Path("datasets"),
    checkpoints: Annotated[Path, typer.Option(help="Folder of checkpoints, for the curves of training.")] = Path(
        "checkpoints"
    ),
    port: Port = 8099,
    host: Host = "127.0.0.1",
    token: Token = None,
) -> None:
    """Look at runs, episodes turn by turn, comparisons, datasets and training curves in a browser."""
    from mocktrial.envs.database import is_url
    from mocktrial.envs.viewer.app import serve
    from mocktrial.envs.viewer.shelf import Shelf

    serve(Shelf(runs if is_url(runs) else Path(runs), datasets, checkpoints), host=host, port=port, token=token)
