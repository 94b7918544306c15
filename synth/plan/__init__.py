"""From a goal to a task: rows bound, calls carried out, facts hidden, rubric and gold plan written."""
