"""Which source of blueprints a name means, and the personas of a file."""

from __future__ import annotations

import pickle
import re
import shutil
from importlib import resources
from pathlib import Path

import pytest

from mocktrial.mocktools.errors import SpecError, UsageError
from mocktrial.synth import sources
from mocktrial.synth.blueprint import Domains
from mocktrial.synth.compose.composer import Composer
from mocktrial.synth.kits import kit_names
from mocktrial.synth.sources import domains_of, listed_personas, recorded, sectors, source_of


def test_all_kits_by_default_and_some_by_name() -> None:
    every = source_of(seed=3)
    assert isinstance(every, Composer)
    assert every.names == tuple(kit_names())
    some = source_of(domains=("food-bank", "vet"), seed=3)
    assert [some.blueprint(number).name for number in range(3)] == ["food-bank", "vet", "food-bank"]
    assert isinstance(source_of(domains=("clinic",)), Domains)


def test_kits_and_domains_take_turns() -> None:
    mixed = source_of(domains=("clinic", "vet", "food_bank"), seed=3)
    names = [mixed.blueprint(number).name for number in range(6)]
    assert names == ["vet", "food-bank", "clinic"] * 2
    kits = source_of(domains=("vet", "food_bank"), seed=3)
    assert mixed.blueprint(3) == kits.blueprint(2)  # every turn of a kit is another world
    assert mixed.blueprint(3).world != mixed.blueprint(0).world


def test_names_are_made_one_and_unknown_ones_refused_with_those_near() -> None:
    assert domains_of(["food-bank", "vet", "food_bank", "clinic"]) == ("food_bank", "vet", "clinic")
    with pytest.raises(UsageError, match="no domain 'clinc'") as error:
        domains_of(["vet", "clinc"])
    assert "clinic" in error.value.hint
    assert "--list-domains" in error.value.hint
    with pytest.raises(UsageError, match="no domain 'zzzz'") as error:
        domains_of(["zzzz"])
    assert error.value.hint == "mocktrial synth --list-domains shows all"
    with pytest.raises(UsageError, match="'nobody'"):
        source_of("nobody")


def test_every_domain_stands_in_a_sector() -> None:
    found = sectors()
    assert found["by hand"] == ["clinic", "depot", "network"]
    assert sorted(name for names in found.values() for name in names) == sorted(
        [*kit_names(), *found["by hand"], *found["device"]]
    )
    assert found["device"] == ["systoolkit"]


def test_a_long_file_of_personas_is_not_read_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "people.jsonl"
    path.write_text('{"persona": "A baker"}\n{"persona": "A nurse"}\nnever read', encoding="utf-8")
    monkeypatch.setattr(sources, "MAX_PERSONAS", 2)
    assert [persona.occupation for persona in listed_personas(path, 1)] == ["baker", "nurse"]
    path.write_text("\n", encoding="utf-8")
    with pytest.raises(SpecError, match="no persona"):
        listed_personas(path, 1)


def test_a_folder_is_a_domain_of_ones_own(tmp_path: Path) -> None:
    mine = tmp_path / "parking"
    shutil.copytree(Path(str(resources.files("mocktrial.synth"))) / "domains" / "depot", mine)
    source = source_of(domains=("clinic", str(mine)))
    kept = recorded(domains_of(("clinic", str(mine))))
    assert [source.blueprint(number).name for number in range(3)] == ["clinic", "parking", "clinic"]
    assert re.fullmatch(r"parking@[0-9a-f]{16}", kept[1])
    (mine / "goals.json").write_text((mine / "goals.json").read_text("utf-8").replace("Please", "Kindly"), "utf-8")
    assert recorded(domains_of((str(mine),)))[0] != kept[1]
    shutil.rmtree(mine)
    assert pickle.loads(pickle.dumps(source)).blueprint(1) == source.blueprint(1)  # noqa: S301  as workers get it
    with pytest.raises(UsageError, match=r"there is no domain at .*parking"):
        source_of(domains=(str(mine),))


def test_two_folders_of_one_name_are_refused(tmp_path: Path) -> None:
    for place in ("a", "b"):
        shutil.copytree(Path(str(resources.files("mocktrial.synth"))) / "domains" / "depot", tmp_path / place / "x")
    with pytest.raises(UsageError, match="two domains are called x"):
        source_of(domains=(str(tmp_path / "a/x"), str(tmp_path / "b/x")))
