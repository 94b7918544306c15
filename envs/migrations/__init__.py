"""The ledger's tables from one version of mocktrial to the next, on SQLite and PostgreSQL alike.

Each step is a module of `steps/versions`, run by alembic, which is imported only where a step is owed: an empty
database is given the tables of `envs.tables` as they stand, and a test holds that the steps lead to the same. A step
may add a table or a column that may be empty, so that a ledger which is only read need not be changed. All steps are
one transaction, and one process at a time takes them. A ledger that cannot be brought up to date is a `UsageError`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Column, Connection, MetaData, String, Table, insert, inspect, select, text
from sqlmodel import SQLModel

from mocktrial.envs.database import columns_of
from mocktrial.envs.tables import CLICK, EPISODE, EXPOSURE, RUN, TASK, TRAJECTORY
from mocktrial.mocktools.errors import UsageError

if TYPE_CHECKING:
    from alembic.config import Config

FIRST, NEWEST = "0001", "0002"
_TABLES = (RUN, TASK, EPISODE, TRAJECTORY, EXPOSURE, CLICK)
_VERSION = Table("alembic_version", MetaData(), Column("version_num", String(32), primary_key=True))
_LOCK = 7_461_001  # of PostgreSQL's advisory locks in this database


def bring_up_to_date(connection: Connection) -> None:
    """Give a ledger the newest tables, whatever it has; in a transaction that the caller commits."""
    if version_of(connection) == NEWEST:
        return
    connection.rollback()
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _LOCK})
    version = version_of(connection)
    if version is None and not inspect(connection).has_table(RUN.name):
        SQLModel.metadata.create_all(connection, tables=_TABLES)
        _VERSION.create(connection)
        connection.execute(insert(_VERSION).values(version_num=NEWEST))
    elif version != NEWEST:
        _take_steps(connection, version)


def version_of(connection: Connection) -> str | None:
    """None: no ledger, or one that was made before versions were kept."""
    if not inspect(connection).has_table(_VERSION.name):
        return None
    return connection.scalar(select(_VERSION.c.version_num))


def configured(connection: Connection) -> Config:
    """For alembic's commands, which then work on `connection`."""
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(Path(__file__).parent / "steps"))
    return config


def _take_steps(connection: Connection, version: str | None) -> None:
    from alembic import command

    if version is not None and version > NEWEST:
        raise UsageError(
            f"this ledger is of a newer mocktrial (its tables are {version}, known here is {NEWEST})",
            hint="pip install --upgrade mocktrial",
        )
    config = configured(connection)
    if version is None:
        _refuse_too_old(connection)
        command.stamp(config, FIRST)
    command.upgrade(config, NEWEST)


def _refuse_too_old(connection: Connection) -> None:
    for table in (RUN, TASK, EPISODE, TRAJECTORY):
        there = columns_of(connection, table)
        for column in table.columns:
            if column.name not in there and not column.nullable:
                raise UsageError(
                    f"this ledger is older than the column {table.name}.{column.name}",
                    hint="start a run under another name",
                )
