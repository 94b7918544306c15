"""A real trainer reads what we export: every field as it was, and one step of training on it (FAULTS 24)."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path
from typing import Any

import pytest
from tests.support.doors import images_of
from tests.support.peers import beside

from mocktrial.agents.play import run_agent
from mocktrial.agents.scripted import Expert, Guesser
from mocktrial.envs.store import Ledger
from mocktrial.envs.trajectory import Trajectory
from mocktrial.synth.exchange.export import export
from mocktrial.synth.exchange.sample import samples
from mocktrial.synth.production.generate import generate

FORMS = ("trl-sft", "trl-kto", "trl-dpo")


def played(folder: Path) -> list[Trajectory]:
    """500 episodes in three domains' worlds, half of them by an agent that fails."""
    dataset = generate(7, 50, ("clinic", "depot", "network"))
    found: list[Trajectory] = []
    for agent in (Expert(), Guesser()):
        place = folder / agent.name
        asyncio.run(run_agent(agent, dataset.tasks, images_of(dataset), place, config={}, trials=5))
        with Ledger.read(place / "ledger.sqlite") as ledger:
            found += ledger.trajectories()
    return found


@pytest.mark.peers("trl")
@pytest.mark.model
def test_trl_trains_on_an_export(tmp_path: Path) -> None:
    trajectories = played(tmp_path)
    folders = {form: str(tmp_path / form) for form in FORMS}
    counts = {form: export(trajectories, form, Path(folder)) for form, folder in folders.items()}
    assert counts["trl-kto"]["rows"] == 500
    went_in: dict[str, Any] = {one.id: list(one.tools) for one in samples(trajectories)}
    assert len({str(tools) for tools in went_in.values()}) >= 3
    for form, seen in beside("trl", "trl_training_side.py", folders).items():
        assert seen["rows"] == counts[form]["rows"] == len(seen["tools"])
        assert {name: went_in[name.split(">")[0]] for name in seen["tools"]} == seen["tools"]
        assert all(tool["function"]["name"] in seen["seen"] for tool in next(iter(seen["tools"].values())))
        assert math.isfinite(seen["loss"])
        assert seen["moved"] > 0
