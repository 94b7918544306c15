"""Facts, and questions for one of them that any reader must find."""

FACTS = ("day of leaving: 2 June", "day of return: 9 June", "cabin (where they sleep): outside", "guests: 3")
ASKED = (  # with the place of the fact
    ("When are you coming back?", 1),
    ("How many of you are there?", 3),
    ("Where would you like to sleep?", 2),
    ("On which day do you leave us?", 0),
)
