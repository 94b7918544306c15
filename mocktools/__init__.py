"""Worlds and tools: specs (`spec`), compiling them (`image`), running them (`world`), checking them (`check`).

A world is a SQLite image and a tool a transaction of data steps. `autoslurp/` is one large world with its
wire server. Nothing here knows of tasks, users or agents.
"""
