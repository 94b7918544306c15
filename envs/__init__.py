"""Tasks, episodes, users, grading; the ledger of runs, statistics and reports.

Start at `task` and `episode`. A model of any role stands behind `chat.ChatModel`; its clients are in
`mocktrial.agents` and are handed in.
"""
