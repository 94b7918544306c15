"""The configs under training/recipes/ are ones that `mocktrial train` takes, and go on from one another."""

from __future__ import annotations

from pathlib import Path

import pytest

from mocktrial.training.config import TrainConfig, Verb, load_config

RECIPES = Path(__file__).parents[2] / "training" / "recipes"


def recipe(name: str, verb: Verb) -> TrainConfig:
    return load_config(RECIPES / f"{name}-{verb}.toml", verb)


def test_rl_goes_on_from_what_sft_leaves() -> None:
    sft, rl = recipe("autoslurp", "sft"), recipe("autoslurp", "rl")
    assert rl.model == f"{sft.out}/{sft.name}"
    assert rl.frozen_layers >= sft.frozen_layers  # what SFT kept stays as it was


@pytest.mark.parametrize("verb", ["sft", "rl"])
def test_the_card_says_how_to_make_what_a_recipe_reads(verb: Verb) -> None:
    card = (RECIPES / "autoslurp.md").read_text(encoding="utf-8")
    assert f"mocktrial train {verb} training/recipes/autoslurp-{verb}.toml" in card
    made = {"sft": "--out datasets/autoslurp", "rl": "--name autoslurp-rollouts"}[verb]
    assert made in card
    assert made.split("/")[-1].split()[-1] in recipe("autoslurp", verb).data
