"""Task files in the form of tau2-bench (github.com/sierra-research/tau2-bench, `data_model/tasks.py`), out and in.

`shape` is the part of the form that is read, `out` writes a task in it, `back` makes a task of somebody else's,
`folder` does it to whole datasets. Only task files go over: what a domain's tools do is code there and data here.
"""
