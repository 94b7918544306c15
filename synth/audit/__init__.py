"""What a dataset is: its figures, duplicates, leaks, structures and diversity."""
