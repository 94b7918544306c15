"""Agents: scripted ones, any endpoint (`openai_client`), a model in this process (`local/`), LangGraph graphs.

`registry.make_agent` makes one from its name, `play.run_agent` plays it into a ledger.
"""
