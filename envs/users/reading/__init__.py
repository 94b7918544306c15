"""How a message is read: acts (what it does), words (what they mean), kinds (what answers it), match (which fact)."""
