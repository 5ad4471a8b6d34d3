"""What a reader says of a place in code: what could come next there (Complete), and what is known of it (Inspect).

The code is looked at as text (``tokens``, ``places``); what it names is looked up in the session's variables
(``resolving``, ``attributes``). Nothing of it is run but what a lookup runs: attributes, items, ``__dir__``.
"""
