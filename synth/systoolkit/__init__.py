"""Tasks for SysToolKit: from the catalogue's ways of asking to blueprints, one goal or more a tool.

`scout` finds arguments that work in a world, `goals` makes a goal of them, `answers` says what a read is asked
for, `source` puts worlds together, `proving` shows that every tool has a task. Words are in `phrases.toml`.
"""

from __future__ import annotations

from mocktrial.synth.systoolkit.source import DeviceTasks

__all__ = ["DeviceTasks"]
