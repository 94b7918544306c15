"""Changes netted from single writes of rows are those that SQLite's session extension tells."""

from __future__ import annotations

import apsw
from hypothesis import given, settings
from hypothesis import strategies as st

from mocktrial.mocktools.rowwrites import Netting, RowWrite, unwatch, watch
from mocktrial.mocktools.spec import Column, Table
from mocktrial.mocktools.writeset import Change, read_changeset

TABLES = (
    Table(
        name="rows",
        columns=(
            Column(name="value", type="real", null=True), Column(name="id"), Column(name="part", type="integer"),
            Column(name="open", type="boolean"),
        ),
        primary_key=("id", "part"),
    ),
    Table(name="notes", columns=(Column(name="id"), Column(name="text", unique=True)), primary_key=("id",)),
)  # fmt: skip
SCHEMA = """
    CREATE TABLE rows (value REAL, id TEXT NOT NULL, part INTEGER NOT NULL, open BOOLEAN, PRIMARY KEY (id, part));
    CREATE TABLE notes (id TEXT NOT NULL PRIMARY KEY, text TEXT UNIQUE);
    INSERT INTO rows VALUES (1, 'a', 1, 0), (2.5, 'a', 2, 1), (NULL, 'b', 1, 0);
    INSERT INTO notes VALUES ('n1', 'x'), ('n2', 'y');
"""
names = st.sampled_from(["a", "b", "c"])
parts = st.integers(1, 2)
values = st.sampled_from(["NULL", "1", "1.0", "2.5", "3"])
notes = st.sampled_from(["n1", "n2", "n3"])
texts = st.sampled_from(["x", "y", "z"])
statements = st.one_of(
    st.builds("INSERT OR REPLACE INTO rows VALUES ({}, '{}', {}, 1)".format, values, names, parts),
    st.builds("UPDATE rows SET value = {} WHERE id = '{}'".format, values, names),
    st.builds("UPDATE rows SET open = NOT open WHERE part = {}".format, parts),
    st.builds("UPDATE OR REPLACE rows SET id = '{}' WHERE id = '{}' AND part = {}".format, names, names, parts),
    st.builds("DELETE FROM rows WHERE id = '{}'".format, names),
    st.builds("INSERT OR IGNORE INTO notes VALUES ('{}', '{}')".format, notes, texts),
    st.builds("INSERT OR REPLACE INTO notes VALUES ('{}', '{}')".format, notes, texts),
    st.builds("UPDATE OR IGNORE notes SET text = '{}'".format, texts),
    st.builds("DELETE FROM notes WHERE text = '{}'".format, texts),
)


def told_by_session(made: list[str]) -> tuple[Change, ...]:
    connection = apsw.Connection(":memory:")
    connection.execute(SCHEMA)
    session = apsw.Session(connection, "main")
    session.attach()
    for sql in made:
        connection.execute(sql)
    return read_changeset(session.changeset(), TABLES)


def netted(made: list[str], cut: int) -> tuple[Change, ...]:
    """In two steps, as from one state of a world to the next."""
    connection = apsw.Connection(":memory:")
    connection.execute(SCHEMA)
    log: list[RowWrite] = []
    watch(connection, log)
    for sql in made[:cut]:
        connection.execute(sql)
    netting, first = Netting(TABLES), log.copy()
    log.clear()
    for sql in made[cut:]:
        connection.execute(sql)
    return netting.changes(netting.added(netting.added({}, first), log))


@settings(max_examples=60, deadline=None)
@given(made=st.lists(statements, max_size=8), cut=st.integers(0, 8))
def test_they_are_what_a_session_tells(made: list[str], cut: int) -> None:
    found = netted(made, cut)
    assert found == told_by_session(made)
    assert repr(found) == repr(told_by_session(made))  # 1 is not 1.0 here


def test_a_session_may_be_made_once_nobody_watches() -> None:
    connection = apsw.Connection(":memory:")
    connection.execute(SCHEMA)
    log: list[RowWrite] = []
    for turn in range(3):
        watch(connection, log)
        connection.execute("UPDATE notes SET text = text || '!' WHERE id = 'n1'")
        unwatch(connection)
        connection.execute("DELETE FROM rows WHERE id = 'b'")
        connection.execute("INSERT INTO rows VALUES (NULL, 'b', 1, 0)")
        session = apsw.Session(connection, "main")
        session.attach()
        connection.execute("UPDATE notes SET text = text || '?' WHERE id = 'n1'")
        assert len(read_changeset(session.changeset(), TABLES)) == 1
        session.close()
        assert len(log) == turn + 1
