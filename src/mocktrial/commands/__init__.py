"""The verbs of the command line, a module for each kind of work. `cli` puts them together."""
