"""What does not come back though its variable is EXACT, or belongs to none: the documentation names each of them.

Code that makes it, what is true then, and what is true after a restore.
"""

from __future__ import annotations

NOT_KEPT: dict[str, tuple[str, str, str]] = {
    "content-of-a-cache": (
        "import functools\n@functools.lru_cache\ndef f(n): return n\nf(1)",
        "f.cache_info().currsize == 1",
        "f.cache_info().currsize == 0 and f(1) == 1",
    ),
    "order-of-a-set-that-has-shrunk": (
        "s = set(range(1000))\nfor n in range(1000): n in (5, 900) or s.discard(n)",
        "list(s) == [5, 900]",
        "list(s) == [900, 5]",
    ),
    "alias-of-an-object's-dictionary": (
        "class K: ...\nk = K(); k.d = vars(k)",
        "k.d is vars(k)",
        "k.d is not vars(k) and k.d['d'] is k.d",
    ),
    "traceback-of-an-exception": (
        "try: 1/0\nexcept Exception as error: e = error",
        "e.__traceback__ is not None",
        "e.__traceback__ is None and e.args == ('division by zero',)",
    ),
    "patched-module": (
        "import json, math\nmath.answer = 42; json.dumps = lambda value: 'patched'",
        "math.answer == 42 and json.dumps(1) == 'patched'",
        "not hasattr(math, 'answer') and json.dumps(1) == '1'",
    ),
    "handler-of-a-signal": (
        "import signal\nsignal.signal(signal.SIGUSR1, signal.SIG_IGN)",
        "signal.getsignal(signal.SIGUSR1) == signal.SIG_IGN",
        "signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL",
    ),
    "handlers-of-the-root-logger": (
        "import logging\nlogging.basicConfig(level=10)",
        "len(logging.root.handlers) == 1",
        "logging.root.handlers == []",
    ),
    "value-of-a-context-variable-of-a-module": (
        "import decimal\ndecimal.getcontext().prec = 7",
        "decimal.getcontext().prec == 7",
        "decimal.getcontext().prec == 28",
    ),
}
