"""A real PostgreSQL of the tests' own: made in a temporary folder, reached over a socket there, gone afterwards.

Its programs are those on PATH or where Debian puts them. They refuse to run as root, so as root they run as `postgres`
or `nobody`. `server_programs` is None where there are none; the mark `postgres` then says so.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SUPER = "keeper"


def server_programs() -> Path | None:
    """The folder that holds `initdb` and `pg_ctl`."""
    on_path = shutil.which("pg_ctl")
    folders = [Path(on_path).resolve().parent] if on_path else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((one for one in folders if (one / "initdb").exists() and (one / "pg_ctl").exists()), None)


class Server:
    """One cluster, on a socket in its folder, without passwords."""

    def __init__(self, folder: Path, programs: Path) -> None:
        self.folder, self._programs = folder, programs
        self._user = _unprivileged()
        if self._user is not None:
            os.chown(folder, self._user.pw_uid, self._user.pw_gid)
        self._call("initdb", "-D", str(folder / "data"), "-U", SUPER, "--auth=trust", "--locale=C.UTF-8", "--no-sync")
        (folder / "data" / "postgresql.auto.conf").write_text(
            f"listen_addresses = ''\nunix_socket_directories = '{folder}'\nmax_connections = 100\nshared_buffers = 32MB\n"
        )

    def start(self) -> None:
        self._call("pg_ctl", "-D", str(self.folder / "data"), "-w", "-l", str(self.folder / "log"), "start")

    def stop(self, mode: str = "fast") -> None:
        """mode `immediate`: as if it had been killed."""
        self._call("pg_ctl", "-D", str(self.folder / "data"), "-w", "-m", mode, "stop")

    def empty(self, database: str = "ledger") -> str:
        """The address of a database with nothing in it and nobody at it. To empty one is cheaper than to make one."""
        import psycopg

        with psycopg.connect(f"host={self.folder} user={SUPER} dbname=postgres", autocommit=True) as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database]).fetchone():
                connection.execute(f"CREATE DATABASE {database}")
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [database])
        with psycopg.connect(f"host={self.folder} user={SUPER} dbname={database}") as connection:
            connection.execute("DROP SCHEMA IF EXISTS public CASCADE")
            connection.execute("CREATE SCHEMA public")
        return f"postgresql+psycopg://{SUPER}@/{database}?host={self.folder}"

    def _call(self, program: str, *arguments: str) -> None:
        user = self._user
        owner = {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        done = subprocess.run(
            [str(self._programs / program), *arguments],
            cwd=self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, **owner,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout


def _unprivileged() -> pwd.struct_passwd | None:
    """Whom to be instead of root."""
    if os.getuid():
        return None
    known = {user.pw_name: user for user in pwd.getpwall()}
    return known.get("postgres") or known["nobody"]


@contextmanager
def running_server() -> Iterator[Server]:
    """A server of one's own. Its folder stands directly in the temporary folder: a socket's path must be short."""
    programs = server_programs()
    assert programs is not None
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    try:
        server = Server(folder, programs)
        server.start()
        try:
            yield server
        finally:
            server.stop("immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
