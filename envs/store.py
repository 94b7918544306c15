"""The ledger: every run, task, episode and trajectory, in SQLite (WAL, synchronous=FULL) or PostgreSQL.

`Ledger.open` is for the one process that plays a run: it takes the run's lock (`locks`), brings the tables up to
date (`migrations`) and refuses a changed config. `Ledger.read` is for everybody else and changes nothing. An episode's
result and its trajectory are one transaction under a unique key, so a process or a server may die at any instant:
what was recorded is whole, the rest is owed. Many processes may write to one ledger, each its own run.
Every failure here is a `UsageError` with the next step. Which episodes to play is `runner`'s business.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from sqlalchemy import Connection, Engine, Row, bindparam, delete, func, insert, inspect, null, select
from sqlalchemy.dialects import postgresql, sqlite

from mocktrial.envs.atomic import whole_file
from mocktrial.envs.database import columns_of, is_url, open_engine, plainly, shown
from mocktrial.envs.fingerprint import config_hash, differences
from mocktrial.envs.fingerprint import shown as shown_changes
from mocktrial.envs.locks import PATIENCE, Lock, T, Work, take_lock
from mocktrial.envs.migrations import bring_up_to_date
from mocktrial.envs.places import address
from mocktrial.envs.tables import (
    CLICK,
    EPISODE,
    EXPOSURE,
    RUN,
    TASK,
    TRAJECTORY,
    EpisodeKey,
    EpisodeRecord,
    episode_row,
    from_line,
    task_row,
    to_line,
)
from mocktrial.envs.task import Task
from mocktrial.envs.trajectory import Trajectory
from mocktrial.mocktools.errors import UsageError
from mocktrial.mocktools.values import stable

_BATCH = 200  # trajectories held in memory at once while reading
_KEY = ("run_id", *EpisodeKey._fields)
_FIND = select(EPISODE.c.id, EPISODE.c.outcome).where(*(EPISODE.c[name] == bindparam(name) for name in _KEY))
_ADD = insert(EPISODE).returning(EPISODE.c.id)
_BODY = select(TRAJECTORY.c.body).where(TRAJECTORY.c.episode_id == bindparam("number"))
_SHOW = insert(EXPOSURE).returning(EXPOSURE.c.id, sort_by_parameter_order=True)


class Ledger:
    """One run's view of a ledger. Made by `open` or `read`; use with `with`, or `close()` it."""

    def __init__(self, place: Path | str, engine: Engine, run: Row[Any], lock: Lock | None) -> None:
        self._place, self._engine, self._lock = place, engine, lock
        self._run_id: int = run.id
        self.run: str = run.name
        self.config: dict[str, Any] = json.loads(run.config)
        self.config_hash: str = run.config_hash

    @classmethod
    def open(
        cls, place: Path | str, config: Mapping[str, Any], *, run: str = "main", patience: float = PATIENCE
    ) -> Ledger:
        """Start or resume `run`. `place`: a file or a database URL. `config`: resolved, JSON, no secrets.

        patience: seconds that a server which goes away is waited for when an episode is recorded.
        Raises `UsageError` when another process plays this run, when the config differs from the one
        that the run was started with (the differing keys are named), or when `place` is no ledger.
        """
        engine = open_engine(place, create=True)
        lock = take_lock(place, engine, run, patience)
        try:
            with plainly(place), lock.turn(), engine.connect() as connection:
                bring_up_to_date(connection)
                row = _find_run(connection, run) or _add_run(connection, run, config)
                connection.commit()
            _refuse_change(place, row, config)
        except BaseException:
            lock.release()
            engine.dispose()
            raise
        return cls(place, engine, row, lock)

    @classmethod
    def read(cls, place: Path | str, *, run: str = "main") -> Ledger:
        """A run for reading, also while it is played. Raises `UsageError` when there is none."""
        names = cls.runs(place)
        if run not in names:
            raise UsageError(f"{shown(place)} has no run {run!r}", hint=f"it has {', '.join(names) or 'none'}")
        engine = open_engine(place, create=False)
        with plainly(place), engine.connect() as connection:
            return cls(place, engine, connection.execute(select(RUN).where(RUN.c.name == run)).one(), None)

    @staticmethod
    def runs(place: Path | str) -> list[str]:
        """Names of the runs in a ledger, sorted."""
        engine = open_engine(place, create=False)
        with plainly(place), engine.connect() as connection:
            if is_url(place) and not inspect(connection).has_table(RUN.name):
                raise UsageError(f"no ledger at {shown(place)}", hint="mocktrial run --ledger makes one")
            names = sorted(connection.scalars(select(RUN.c.name)))
        engine.dispose()
        return names

    def close(self) -> None:
        if self._lock is not None:
            self._lock.release()
        self._engine.dispose()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write(self, work: Work[T]) -> T:
        """One transaction: all of `work` or nothing of it. It may be tried again, and must bear that."""
        if self._lock is None:
            raise UsageError(
                f"run {address(self._place, self.run)} was opened for reading", hint="open it with Ledger.open"
            )
        with plainly(self._place):
            return self._lock.transact(work)

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with plainly(self._place), self._engine.connect() as connection:
            yield connection

    def add_tasks(self, tasks: Iterable[Task]) -> None:
        """Make tasks known; known ones are left as they are. Episodes refer to them by content hash."""
        by_hash = {task.content_hash(): task for task in tasks}
        with self._reading() as connection:
            known = set(connection.scalars(select(TASK.c.hash)))
        # In one order, or two players who add the same tasks could wait for each other.
        fresh = [task_row(hashed, task) for hashed, task in sorted(by_hash.items()) if hashed not in known]
        adding = (postgresql if is_url(self._place) else sqlite).insert(TASK).on_conflict_do_nothing()
        if fresh:
            self._write(lambda connection, again: connection.execute(adding, fresh))

    def record(self, trajectory: Trajectory, *, seconds: float | None = None) -> None:
        """Write an episode's result and trajectory in one transaction; durable when this returns.

        An earlier `no_result` under the same key is replaced. Raises `UsageError`, and changes nothing,
        when the key already has a result, the task was not added, or the disk refuses.
        """
        key = EpisodeKey(trajectory.task_hash, trajectory.agent, trajectory.trial, trajectory.seed, self.config_hash)
        row = {"run_id": self._run_id, **episode_row(trajectory, key, seconds)}
        body = to_line(trajectory)

        def put(connection: Connection, again: bool) -> None:
            earlier = connection.execute(_FIND, {name: row[name] for name in _KEY}).first()
            if earlier is not None:
                if again and connection.scalar(_BODY, {"number": earlier.id}) == body:
                    return  # the server went away after it had committed
                if earlier.outcome != "no_result":
                    what = f"{trajectory.agent} on {trajectory.task_id}, trial {trajectory.trial}"
                    raise UsageError(f"already recorded: {what}", hint="skip the keys in Ledger.done()")
                connection.execute(delete(EPISODE).where(EPISODE.c.id == earlier.id))
            number = connection.execute(_ADD, row).scalar_one()
            connection.execute(insert(TRAJECTORY), {"episode_id": number, "body": body})

        self._write(put)

    def add_exposures(self, rows: Iterable[tuple[Mapping[str, Any], bool]]) -> None:
        """Write suggestions that were shown, each with whether it was clicked, in one transaction."""
        all_rows = list(rows)
        of_run = select(func.count()).where(EXPOSURE.c.run_id == self._run_id)
        with self._reading() as connection:
            before = connection.scalar(of_run)

        def put(connection: Connection, again: bool) -> None:
            if again and connection.scalar(of_run) != before:
                return  # the server went away after it had committed
            for start in range(0, len(all_rows), _BATCH):
                batch = all_rows[start : start + _BATCH]
                numbers = connection.scalars(_SHOW, [{"run_id": self._run_id, **row} for row, _ in batch])
                pairs = zip(numbers, batch, strict=True)
                clicks = [{"exposure_id": number} for number, (_, clicked) in pairs if clicked]
                if clicks:
                    connection.execute(insert(CLICK), clicks)

        self._write(put)

    def erase(self) -> None:
        """Take this run out of the ledger; its tasks stay, other runs may have them."""

        def take_out(connection: Connection, again: bool) -> None:
            for table, key in ((EXPOSURE, EXPOSURE.c.run_id), (EPISODE, EPISODE.c.run_id), (RUN, RUN.c.id)):
                connection.execute(delete(table).where(key == self._run_id))

        self._write(take_out)

    def exposures(self) -> list[tuple[Mapping[str, Any], bool]]:
        """What was shown in this run, in order, each with whether it was clicked."""
        clicked = CLICK.c.exposure_id.is_not(None).label("clicked")
        query = select(EXPOSURE, clicked).outerjoin(CLICK).where(EXPOSURE.c.run_id == self._run_id)
        with self._reading() as connection:
            return [
                ({**row}, bool(row["clicked"])) for row in connection.execute(query.order_by(EXPOSURE.c.id)).mappings()
            ]

    def done(self) -> dict[EpisodeKey, bool]:
        """Keys that need no more playing, all that have a result, with whether it is a success."""
        query = select(*(EPISODE.c[name] for name in EpisodeKey._fields), EPISODE.c.success).where(
            EPISODE.c.run_id == self._run_id, EPISODE.c.outcome != "no_result"
        )
        with self._reading() as connection:
            return {EpisodeKey(*key): bool(success) for *key, success in connection.execute(query)}

    def episodes(self) -> list[EpisodeRecord]:
        """All episodes' numbers, ordered by agent, task, trial and seed."""
        of_task = {"domain", "family", "difficulty"}
        with self._reading() as connection:
            there = columns_of(connection, EPISODE)  # one that nobody has gone on with may lack some (`migrations`)
            columns = [
                TASK.c[name] if name in of_task else EPISODE.c[name] if name in there else null().label(name)
                for name in _RECORD_COLUMNS
            ]
            joined = select(*columns).join(TASK, TASK.c.hash == EPISODE.c.task_hash)
            query = joined.where(EPISODE.c.run_id == self._run_id)
            records = [EpisodeRecord(number, self.run, *rest) for number, *rest in connection.execute(query)]
        return sorted(records, key=_order)

    def stamp(self) -> tuple[int, int]:
        """How many episodes there are and the newest one's number: another one when something was recorded."""
        query = select(func.count(), func.coalesce(func.max(EPISODE.c.id), 0)).where(EPISODE.c.run_id == self._run_id)
        with self._reading() as connection:
            count, newest = connection.execute(query).one()
            return count, newest

    def tasks(self, hashes: Iterable[str] | None = None) -> dict[str, Task]:
        """Tasks of this ledger by content hash: every one, or those of `hashes`."""
        query = select(TASK.c.hash, TASK.c.body).order_by(TASK.c.hash)
        with self._reading() as connection:
            rows = connection.execute(query if hashes is None else query.where(TASK.c.hash.in_(hashes)))
            return {row.hash: Task.model_validate_json(row.body) for row in rows}

    def trajectories(self, ids: Sequence[int] | None = None) -> Iterator[Trajectory]:
        """Trajectories of the episodes `ids`, in that order; without it all, in the order of `episodes`."""
        return map(from_line, self._lines(ids))

    def _lines(self, ids: Sequence[int] | None) -> Iterator[str]:
        wanted = [record.id for record in self.episodes()] if ids is None else list(ids)
        with self._reading() as connection:
            for start in range(0, len(wanted), _BATCH):
                batch = wanted[start : start + _BATCH]
                rows = connection.execute(select(TRAJECTORY).where(TRAJECTORY.c.episode_id.in_(batch)))
                bodies = {row.episode_id: row.body for row in rows}
                if any(number not in bodies for number in batch):
                    went_on = f"run {address(self._place, self.run)} went on while it was read"
                    raise UsageError(went_on, hint="run the same command again")
                yield from (bodies[number] for number in batch)

    def export_jsonl(self, path: Path) -> int:
        """Write every trajectory as one line; returns how many.

        Equal contents give equal bytes, in whatever order the episodes ended or were interrupted.
        """
        with whole_file(path) as file:
            return sum(file.write(line.encode("ascii") + b"\n") > 0 for line in self._lines(None))


_RECORD_COLUMNS = [name for name in EpisodeRecord._fields if name != "run"]  # the id is the first


def _order(record: EpisodeRecord) -> tuple[str, str, str, int, int]:
    return record.agent, record.task_id, record.task_hash, record.trial, record.seed


def _find_run(connection: Connection, name: str) -> Row[Any] | None:
    return connection.execute(select(RUN).where(RUN.c.name == name)).first()


def _add_run(connection: Connection, name: str, config: Mapping[str, Any]) -> Row[Any]:
    row = {"name": name, "config": stable(config), "config_hash": config_hash(config)}
    return connection.execute(insert(RUN).values(row).returning(*RUN.c)).one()


def _refuse_change(place: Path | str, run: Row[Any], config: Mapping[str, Any]) -> None:
    if run.config_hash == config_hash(config):
        return
    changed = differences(json.loads(run.config), json.loads(stable(config)))
    raise UsageError(
        f"run {address(place, run.name)} was started with another config ({shown_changes(changed)})",
        hint="change it back to resume, or choose another name",
    )
