"""A home network of a few devices and one goal, which tests bend."""

from __future__ import annotations

from typing import Any

from mocktrial.mocktools.spec import WorldSpec
from mocktrial.synth.blueprint import load_blueprint

GOAL: dict[str, Any] = {
    "id": "limit",
    "bind": [{"sql": "SELECT owner, kind FROM devices WHERE owner = 'Ann' AND kind = 'phone'"}],
    "facts": [
        {"id": "owner", "label": "the owner", "question": "Whose device?", "hide": False},
        {
            "id": "kind",
            "label": "the device",
            "question": "Which device?",
            "alternatives": "SELECT kind FROM devices WHERE owner = :owner AND kind <> :kind",
        },
    ],
    "plan": [
        {"call": "find_devices", "arguments": {"owner": {"fact": "owner"}}},
        {
            "call": "set_limit",
            "arguments": {
                "device": {"step": "find_devices", "where": {"kind": "kind"}},
                "mbps": {"value": 10},
            },
        },
    ],
    "wish": "Limit {owner}'s {kind} to 10.",
    "instructions": ["Limit [{owner}'s {kind}|a device of {owner}] to 10."],
    "finish": "Done.",
}


def home(*devices: tuple[str, str]) -> WorldSpec:
    """A home network with these owners and kinds."""
    rows = [
        {"id": f"n{n}", "owner": owner, "kind": kind, "wifi_id": "w1", "blocked": False, "gb": n}
        for n, (owner, kind) in enumerate(devices, 1)
    ]
    body = load_blueprint("network").world.model_dump(mode="json")
    body["rows"] = {
        "people": [{"name": name} for name in sorted({owner for owner, _ in devices})],
        "wifis": [{"id": "w1", "name": "Home", "password": "secret"}],
        "devices": rows,
    }
    return WorldSpec.model_validate(body)
