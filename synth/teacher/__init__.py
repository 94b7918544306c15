"""The model teacher: an OpenAI-compatible endpoint that writes blueprints, step by step.

    answers     the form of each step's answer, and how it becomes part of a `Blueprint`
    draft       a unit under way, and its conversion to our forms
    checks      whether an answer holds, by the code that checks everything else
    steps       the six steps in SynthAgent's order
    prompts     the requests' text (jinja2 files and one worked example)
    wire        one request: structured output, and what is done where the endpoint refuses it
    ledger      every paid answer and its tokens, append-only; a resumed run reads it
    source      `ModelTeacher`, the `BlueprintSource`, and `make_teacher`

A model's answer is data of a stranger: it is parsed, bounded and checked, and nothing in it is ever run
but SQL under the world's own guard.
"""
