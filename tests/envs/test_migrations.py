"""The ledger's tables: the steps lead to what the models say, and back, on both databases."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text
from sqlmodel import SQLModel

from mocktrial.envs.database import open_engine
from mocktrial.envs.migrations import FIRST, NEWEST, bring_up_to_date, configured, version_of
from mocktrial.envs.store import Ledger
from mocktrial.mocktools.errors import UsageError
from tests.support.ledger import CONFIG, begin, make_task, make_trajectory

Place = Path | str
ROOT = Path(__file__).parents[2]


@pytest.fixture
def empty(place: Place) -> Place:
    """A database without tables."""
    open_engine(place, create=True).connect().close()
    return place


def up(place: Place, to: str = "head") -> None:
    with begin(place) as connection:
        command.upgrade(configured(connection), to)


def down(place: Place, to: str = "base") -> None:
    with begin(place) as connection:
        command.downgrade(configured(connection), to)


def differing(place: Place) -> list[object]:
    with begin(place) as connection:
        return list(compare_metadata(MigrationContext.configure(connection), SQLModel.metadata))


def test_the_steps_lead_to_the_tables_of_the_models(empty: Place) -> None:
    assert differing(empty)
    up(empty)
    assert differing(empty) == []


def test_a_fresh_ledger_has_the_tables_of_the_models(place: Place) -> None:
    Ledger.open(place, CONFIG).close()
    assert differing(place) == []
    with begin(place) as connection:
        script = ScriptDirectory.from_config(configured(connection))
        assert version_of(connection) == NEWEST == script.get_current_head()


def test_all_steps_back_leave_nothing(empty: Place) -> None:
    up(empty)
    down(empty)
    with begin(empty) as connection:
        assert inspect(connection).get_table_names() == ["alembic_version"]


def test_a_step_back_and_forth_keeps_the_episodes(place: Place) -> None:
    with Ledger.open(place, CONFIG) as ledger:
        ledger.add_tasks([make_task(0)])
        ledger.record(make_trajectory(make_task(0)))
    down(place, FIRST)
    with Ledger.read(place) as ledger:
        assert [episode.cost for episode in ledger.episodes()] == [None]
    with Ledger.open(place, CONFIG) as ledger:
        assert list(ledger.trajectories()) == [make_trajectory(make_task(0))]
    assert differing(place) == []


def test_a_step_that_fails_changes_nothing(empty: Place) -> None:
    """Its table is there already, in the way of its second half: the first half is undone."""
    up(empty, FIRST)
    with begin(empty) as raw:
        raw.execute(text("CREATE TABLE ix_exposure_run_id (id INTEGER)"))
    with pytest.raises(UsageError, match="ix_exposure_run_id"):
        Ledger.open(empty, CONFIG)
    with begin(empty) as connection:
        assert version_of(connection) == FIRST
        assert not inspect(connection).has_table("exposure")
        assert "cost" not in {column["name"] for column in inspect(connection).get_columns("episode")}


def test_a_ledger_of_a_newer_mocktrial_is_refused(place: Place) -> None:
    Ledger.open(place, CONFIG).close()
    with begin(place) as raw:
        raw.execute(text("UPDATE alembic_version SET version_num = '0999'"))
    with pytest.raises(UsageError, match=r"newer mocktrial \(its tables are 0999"):
        Ledger.open(place, CONFIG)


def test_what_stands_is_left_alone(place: Place) -> None:
    Ledger.open(place, CONFIG).close()
    engine = open_engine(place, create=False)
    with engine.connect() as connection:
        bring_up_to_date(connection)
        connection.rollback()
        assert version_of(connection) == NEWEST
    engine.dispose()


def test_alembic_is_loaded_only_where_a_step_is_owed(tmp_path: Path) -> None:
    code = (
        "import sys; from mocktrial.envs.store import Ledger\n"
        f"for _ in range(2): Ledger.open({str(tmp_path / 'ledger')!r}, {{}}).close()\n"
        "print('alembic' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "False"
