"""Faults that no one part owns: the network (19), names that would be paths (20), files that would be code (21)."""

from __future__ import annotations

import pickle
import socket
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mocktrial.envs.dataset import dataset_folder, load_dataset
from mocktrial.envs.places import RunPlace
from mocktrial.envs.store import Ledger
from mocktrial.envs.viewer.shelf import Shelf
from mocktrial.mocktools.errors import MocktrialError, UsageError
from mocktrial.mocktools.files import read_world
from mocktrial.mocktools.retrieval import dense
from mocktrial.synth.production.generate import generate
from tests.support.network import Guard

# 19. None of the suite has a network: here, and for every test, the guard in conftest.


@pytest.mark.parametrize("url", ["http://192.0.2.1/", "http://nowhere.example/", "http://[2001:db8::1]/"])
def test_who_reaches_beyond_this_machine_is_told_that_there_is_no_network(network: Guard, url: str) -> None:
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)
    assert len(network.tried) == 1
    network.tried.clear()


def test_this_machine_may_be_reached_by_all_its_names(network: Guard) -> None:
    with socket.create_server(("", 0)) as server:
        for host in ("127.0.0.1", "localhost", socket.gethostname()):
            socket.create_connection((host, server.getsockname()[1])).close()
    assert network.tried == []


# 20. A name is never a path.

parts = st.sampled_from(
    ["..", ".", "/", "\\", "a", "run-1", "%2e%2e", "\0", "~", "C:", " ", "é", "\ud800", "x" * 300, "\n"]
)
names = st.lists(parts, max_size=6).map("".join) | st.text(max_size=80)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("home") / "inner"
    for folder in (root.parent, root, root / "a", root / "a" / "run-1"):
        folder.mkdir(exist_ok=True)
        (folder / "ledger.sqlite").write_bytes(b"")
        (folder / "dataset.toml").write_text("")
    (root / "link").symlink_to(root.parent)
    return root


@settings(max_examples=500)
@given(name=names)
def test_no_name_leads_out_of_its_folder(root: Path, name: str) -> None:
    shelf = Shelf(root, root, root)
    makers: list[Any] = [
        lambda: RunPlace.under(root, name).folder,
        lambda: dataset_folder(root, name),
        lambda: shelf.folder(name).path,
        lambda: shelf.journal(name),
    ]
    for make in makers:
        try:
            found = make()
        except MocktrialError:
            continue
        assert found.resolve().is_relative_to(root.resolve())


@pytest.mark.parametrize(
    "name", ["link", "link/inner", "a/../..", "..", "../inner", "/", "a//run-1", "a/./run-1", "x\0"]
)
def test_the_viewer_opens_what_it_would_find_and_nothing_else(root: Path, name: str) -> None:
    assert Shelf(root, root, root).runs() == [".", "a", "a/run-1"]
    with pytest.raises(UsageError, match="there is no"):
        Shelf(root, root, root).run(name)


# 21. Data stay data.


class Mischief:
    """Unpickled, it leaves a file behind."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, tuple[Path]]:
        return Path.touch, (self.mark,)


OPENED: dict[str, Any] = {
    "tasks.jsonl": load_dataset,
    "proof.jsonl": load_dataset,
    "dataset.toml": load_dataset,
    "worlds/clinic-0.json": lambda folder: read_world(folder / "worlds" / "clinic-0.json"),
    "ledger.sqlite": lambda folder: Ledger.read(folder / "ledger.sqlite"),
}


@pytest.mark.parametrize("file", OPENED)
def test_a_pickle_in_the_place_of_any_file_of_ours_is_refused_and_not_run(tmp_path: Path, file: str) -> None:
    generate(3, 2, ("clinic",)).save(tmp_path / "mine")
    (tmp_path / "mine" / file).write_bytes(pickle.dumps(Mischief(tmp_path / "ran")))
    with pytest.raises(UsageError):
        OPENED[file](tmp_path / "mine")
    assert not (tmp_path / "ran").exists()
    pickle.loads((tmp_path / "mine" / file).read_bytes())  # noqa: S301
    assert (tmp_path / "ran").exists()  # it would have


def test_vectors_that_are_a_pickle_or_claim_to_be_endless_are_no_vectors(tmp_path: Path) -> None:
    place = tmp_path / "vectors.npy"
    np.save(place, np.array([Mischief(tmp_path / "ran")], dtype=object), allow_pickle=True)
    assert dense._read(place) is None
    with place.open("wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": (10**9, 10**6)}
        np.lib.format.write_array_header_1_0(file, header)
    assert dense._read(place) is None
    assert not (tmp_path / "ran").exists()
