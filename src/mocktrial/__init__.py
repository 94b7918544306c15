"""mocktrial: mock worlds that turn small models into agents.

This facade has what a program needs to open worlds and play episodes. Everything else is imported from
the folder it stands in: `mocktrial.mocktools`, `mocktrial.envs`, `mocktrial.agents`, `mocktrial.synth`,
`mocktrial.training`.
"""

from mocktrial.agents.base import Agent
from mocktrial.agents.scripted import Expert, Guesser, Interrogator, Null, Violator
from mocktrial.envs.chat import Chat, ChatModel, Completion
from mocktrial.envs.episode import Episode, Limits, Observation, SyncEpisode
from mocktrial.envs.rubric import Rubric
from mocktrial.envs.task import Fact, Persona, Task
from mocktrial.envs.trajectory import Trajectory
from mocktrial.mocktools.check import check_world
from mocktrial.mocktools.errors import MocktrialError, NoResult, SpecError, UsageError
from mocktrial.mocktools.image import WorldImage, compile_world
from mocktrial.mocktools.spec import ToolSpec, WorldSpec
from mocktrial.mocktools.world import ToolResult, World

__version__ = "0.1.0"
__all__ = [
    "Agent",
    "Chat",
    "ChatModel",
    "Completion",
    "Episode",
    "Expert",
    "Fact",
    "Guesser",
    "Interrogator",
    "Limits",
    "MocktrialError",
    "NoResult",
    "Null",
    "Observation",
    "Persona",
    "Rubric",
    "SpecError",
    "SyncEpisode",
    "Task",
    "ToolResult",
    "ToolSpec",
    "Trajectory",
    "UsageError",
    "Violator",
    "World",
    "WorldImage",
    "WorldSpec",
    "check_world",
    "compile_world",
]
