"""Train and decode on the processor and on the second device, and print as JSON what each case gave on both.

`python -m tests.support.on_second_device`: a process of its own, since the device stays registered.
"""

from __future__ import annotations

import json
import random
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from mocktrial.agents.local.decoding import Decoder
from mocktrial.agents.local.sampler import History, Request
from mocktrial.agents.local.speculation import LENIENCE, Draft
from mocktrial.training.config import parse_config
from mocktrial.training.engine import Engine
from mocktrial.training.losses.choose import bound_loss
from mocktrial.training.objectives.presets import PRESETS
from tests.support.second_device import Beside, prepare
from tests.support.tiny import decode, tiny_llama
from tests.training.conftest import after_one_prompt, some_rows, tiny_model

OBJECTIVES: dict[str, dict[str, Any]] = {
    "sft": {"objective": "sft"},
    "idft": {"objective": "sft", "sft": {"weighting": "idft"}},
    "kto": {"objective": "kto"},
    "kto of shifted pairs": {"objective": "kto", "kto": {"z": "shifted"}},
    "kto by adapters": {"objective": "kto", "lora": {}},
    "dpo": {"objective": "dpo", "dpo": {"pairs": "all", "weighting": "none"}},
    "otpo": {"objective": "dpo", "dpo": {"pairs": "all", "weighting": "transport"}},
    "real": {"objective": "rl", "rl": {"preset": "real"}},
    "shaped": {"objective": "rl", "rl": {"preset": "grpo", "shaping": 0.1}},
    **{name: {"objective": "rl", "rl": {"preset": name, "kl_weight": 0.1}} for name in PRESETS if name != "real"},
}
_PROMPT, _STOP, _ROWS = [4, 8, 6], frozenset({1, 6, 10, 15, 19}), 6
Case = Callable[[PreTrainedModel], list[float]]


def two_steps(given: dict[str, Any]) -> Case:
    """Losses and norms of the gradients of two optimizer steps."""

    def case(model: PreTrainedModel) -> list[float]:
        config = parse_config({"name": "x", "data": "none", "precision": "fp32", **given}, "test")
        rows = after_one_prompt(some_rows()) if given["objective"] == "dpo" else some_rows()
        engine, loss = Engine(model, config, keep_start=True), bound_loss(config, rows)
        everyone = range(len(loss.examples))
        loss.prepare([everyone, everyone], 0, engine.reference)
        reports = [engine.step(loss, number, everyone, 1e-3) for number in range(2)]
        return [value for one in reports for value in (one.loss, one.gradient_norm)]

    return case


def turns(model: PreTrainedModel) -> list[float]:
    """Ids and log-probabilities of turns drawn together, then of the same turns reused, strictly and leniently."""
    drafts: list[Draft | None] = [None] * _ROWS
    out = []
    for epoch, lenience in enumerate((None, None, LENIENCE)):
        decoder = Decoder(model, _STOP)
        drawn = decode(
            decoder,
            [
                Request(History(list(_PROMPT), 2), random.Random(f"{epoch}/{row}"), 8, 1.0, draft, lenience, 16)
                for row, draft in enumerate(drafts)
            ],
        )
        drafts = [Draft(one.ids, one.logprobs, one.top) for one in drawn]
        out += [value for one in drawn for value in (*one.ids, *one.logprobs)]
    return out


def main() -> None:
    cases = {name: (tiny_model, two_steps(given)) for name, given in OBJECTIVES.items()}
    cases["turns"] = (tiny_llama, turns)
    models = {name: (make(), make()) for name, (make, _) in cases.items()}
    device = prepare()  # after the models, whose seeds it has no part in, and before autograd counts devices
    found = {}
    for name, (_, case) in cases.items():
        model, other = models[name]
        here = case(model)
        with Beside():
            moved = other.to(device)  # type: ignore[arg-type]
            moved.tie_weights()  # a tensor of another class is another parameter: `to` keeps no tie between such
            try:
                found[name] = {"here": here, "there": case(moved)}
            except (RuntimeError, NotImplementedError) as broken:
                frames = [
                    one for one in traceback.extract_tb(broken.__traceback__) if "site-packages" not in one.filename
                ]
                own = [one for one in frames if Path(one.filename).parent.name != "support"]
                found[name] = {"broken": f"{own[-1].filename}:{own[-1].lineno}: {str(broken)[:200]}"}
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
