"""The form that every teacher gives: goals, gold calls, row recipes and text templates. Data only."""
