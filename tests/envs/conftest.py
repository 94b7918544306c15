"""Where the ledgers of these tests are kept: each such test is run on SQLite and on a real PostgreSQL."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.postgres import Server


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """Of a fresh ledger."""
    if request.param == "sqlite":
        return tmp_path / "run" / "ledger.sqlite"
    server: Server = request.getfixturevalue("postgres")
    return server.empty()
