"""Simulated people who are shown next queries and click, or don't: logs of which the truth is known.

`settings` reads the TOML of parameters, `taste` says what people prefer, `population` who they are, `scenes` makes
sessions in device worlds with a pool of grounded suggestions, `behaviour` turns preference into clicks, `logs` puts
a log together, `files` writes it, `online` compares recommenders on it.
"""

from __future__ import annotations
