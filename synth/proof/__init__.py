"""The proof that a task tells right from wrong: variants of its gold plan, played and judged."""
