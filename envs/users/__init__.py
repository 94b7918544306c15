"""User simulators: who holds the hidden facts, and on what terms they are told."""
