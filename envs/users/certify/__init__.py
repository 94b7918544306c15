"""Certifying users: scripted agents with a contract in hand talk to a user, and its faults are counted.

    scenes/, values.toml, messages.toml     what is talked about, and in which words
    cast.py         a scene made a person with facts, and a canary in each hidden field
    agents.py       the contract agents: what each says, and what a good user would do
    conversation.py plays one against the user
    detect.py       what went wrong in a conversation, from its words and from the user's own record
    measure.py      many conversations -> a certificate
    certificate.py  the certificate: frozen data, and where the shipped ones stand

Nothing here knows how a user works: all goes through `User.reply`.
"""
