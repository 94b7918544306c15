"""`mocktrial doctor` finds what is wrong, and says what to do about it."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from sqlalchemy import text

from mocktrial.envs import doctor
from mocktrial.envs.doctor import Finding, examine
from mocktrial.envs.inspection import look_at
from mocktrial.envs.store import Ledger
from mocktrial.mocktools.errors import MissingExtra
from tests.support.command import runner
from tests.support.ledger import CONFIG, begin
from tests.support.postgres import Server


def named(findings: list[Finding], name: str) -> Finding:
    return next(finding for finding in findings if finding.name == name)


def test_where_nothing_is_wrong_nothing_is_said_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert not [finding for finding in examine() if finding.wrong]
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("runs").write_text("a file stands in the way")
    found = named(examine(), "runs/")
    assert (found.wrong, "writable for you" in found.fix, named(examine(), "datasets/").wrong) == (True, True, False)


def test_a_gpu_that_torch_was_not_built_for_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "GPUS", tmp_path)
    assert named(examine(), "GPU").found == "none"
    for bus in ("0000:17:00.0", "0000:65:00.0"):
        (tmp_path / bus).mkdir()
        (tmp_path / bus / "information").write_text(f"Model: \t\t Fast 9\nBus Location: \t {bus}\n")
    for version, says in (("2.13.0+cpu", "its build for CUDA"), ("2.13.0", "")):
        monkeypatch.setattr(doctor, "_version", lambda package, version=version: version)
        found = named(examine(), "GPU")
        assert (found.found, says in found.fix, bool(found.fix)) == ("Fast 9, Fast 9", True, bool(says))


def test_a_port_that_is_taken_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(doctor, "PORTS", {port: "serve"})
        found = named(examine(), f"port {port}")
        assert (found.found, "another --port" in found.fix) == ("Address already in use", True)
    assert named(examine(), f"port {port}").found == "free"


def test_an_endpoint_that_is_not_there_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, _ = runner(monkeypatch, capsys)("doctor", "--base-url", "http://127.0.0.1:1/v1")
    assert (code, "127.0.0.1:1" in out) == (1, True)


def test_a_ledger_is_described(place: Path | str) -> None:
    Ledger.open(place, CONFIG).close()
    seen = look_at(place)
    assert seen.may_write
    assert seen.summary.endswith("1 runs, 0 episodes")
    with begin(place) as raw:
        raw.execute(text("DROP TABLE alembic_version"))
    assert "of before versions" in look_at(place).summary


@pytest.mark.postgres
def test_a_user_without_rights_is_told_which(postgres: Server) -> None:
    place = postgres.empty()
    with begin(place) as raw:
        raw.execute(text("DROP ROLE IF EXISTS guest"))
        raw.execute(text("CREATE ROLE guest LOGIN"))
        raw.execute(text("GRANT USAGE ON SCHEMA public TO guest"))
    found = examine(ledger=place.replace("keeper@", "guest:planted-secret@"))[-1]
    assert (found.wrong, found.found) == (True, "no right to make tables")
    assert "GRANT CREATE" in found.fix
    assert "planted-secret" not in found.name


def test_a_ledger_that_cannot_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    found = examine(ledger="postgresql://me:planted-secret@127.0.0.1:1/none")[-1]
    assert (found.wrong, "Connection refused" in found.found, "PGPASSWORD" in found.fix) == (True, True, True)
    assert "planted-secret" not in found.found

    def missing(*_: object) -> None:
        raise MissingExtra("the package psycopg is not installed", hint="pip install 'mocktrial[postgres]'")

    monkeypatch.setattr("mocktrial.envs.inspection.look_at", missing)
    assert examine(ledger="postgresql://me@127.0.0.1:1/none")[-1].fix == "pip install 'mocktrial[postgres]'"


def test_an_old_server_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    from mocktrial.envs.inspection import Seen

    monkeypatch.setattr("mocktrial.envs.inspection.look_at", lambda place: Seen("there", (9, 6), True, ""))
    found = examine(ledger="postgresql://me@there/none")[-1]
    assert (found.wrong, found.found, found.fix) == (True, "PostgreSQL 9.6", "use PostgreSQL 12 or newer")


def test_what_is_no_address_is_said_to_be_none(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, told = runner(monkeypatch, capsys)("doctor", "--base-url", "nonsense")
    assert code == 2
    assert "nonsense is no address" in told
