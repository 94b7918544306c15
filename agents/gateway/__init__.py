"""The recording gateway: an OpenAI-compatible endpoint between any agent and its model.

`app` answers over HTTP, `proxy` passes requests on and has them recorded, `recorder` keeps an episode's calls in
order, `journal` writes them to a file, `sse` and `tokens` read what comes back, `sittings` plays episodes of a
dataset with agents elsewhere.
"""

import mocktrial.mocktools.http  # noqa: F401  raises MissingExtra where fastapi is not installed
