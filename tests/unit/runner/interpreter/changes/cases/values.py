"""Values that hold nothing, and what is told apart."""

from __future__ import annotations

from typing import Final

FOUND: Final = {
    "1 to 1.0": ("x = 1", "x = 1.0", "~x"),
    "1 to True": ("x = 1", "x = True", "~x"),
    "1.0 to 1": ("x = 1.0", "x = 1", "~x"),
    "0 to False": ("x = 0", "x = False", "~x"),
    "0.0 to -0.0": ("x = 0.0", "x = -0.0", "~x"),
    "1 to 1+0j": ("x = 1", "x = 1 + 0j", "~x"),
    "the sign of a complex zero": ("x = complex(0.0, 0.0)", "x = complex(0.0, -0.0)", "~x"),
    "None to False": ("x = None", "x = False", "~x"),
    "text to bytes": ("x = 'a'", "x = b'a'", "~x"),
    "bytes to a bytearray": ("x = b'a'", "x = bytearray(b'a')", "~x"),
    "a tuple to a list": ("x = (1,)", "x = [1]", "~x"),
    "a set to a frozenset": ("x = {1}", "x = frozenset({1})", "~x"),
    "-1 to -2, which have one hash": ("x = -1", "x = -2", "~x"),
    "-1 to -2 in a tuple": ("x = (-1, 'a')", "x = (-2, 'a')", "~x"),
    "an empty list to an empty dict": ("x = []", "x = {}", "~x"),
    "1 to True in a list": ("x = [1, 2]", "x[0] = True", "~x"),
    "1 to 1.0 in a dict": ("x = {'a': 1}", "x['a'] = 1.0", "~x"),
    "0.0 to -0.0 in a tuple in a list": ("x = [(0.0,)]", "x[0] = (-0.0,)", "~x"),
    "1 to True as a key": ("x = {1: 'a'}", "x = {True: 'a'}", "~x"),
    "1 to True in a set": ("x = {1}", "x = {True}", "~x"),
    "1 to True in a tuple in a set": ("x = {(1,)}", "x = {(True,)}", "~x"),
    "NaN to a number": ("x = float('nan')", "x = 0.0", "~x"),
    "a number to NaN in a list": ("x = [0.0]", "x[0] = float('nan')", "~x"),
    "infinity's sign": ("x = float('inf')", "x = -x", "~x"),
    "the next float": ("import math\nx = 0.1", "x = math.nextafter(x, 1)", "~x"),
    "a big number": ("x = 10 ** 40", "x += 1", "~x"),
    "a huge number": ("x = 1 << 700_000", "x += 1", "~x"),
    "a huge number's sign": ("x = 1 << 700_000", "x = -x", "~x"),
    "a long text's last character": ("x = 'a' * 200_000", "x = 'a' * 199_999 + 'b'", "~x"),
    "a long text in a list": ("x = ['a' * 200_000, 1]", "x[0] = 'a' * 199_999 + 'b'", "~x"),
    "long bytes": ("x = bytes(200_000)", "x = bytes(199_999) + b'1'", "~x"),
    "long bytes to a long text": ("x = b'a' * 200_000", "x = 'a' * 200_000", "~x"),
    "a text's composition": ("x = '\\u00e9'", "x = 'e\\u0301'", "~x"),
    "a lone surrogate": ("x = '\\ud800'", "x = '\\ud801'", "~x"),
    "a null character": ("x = 'a'", "x = 'a\\0'", "~x"),
    "an ellipsis": ("x = ...", "x = NotImplemented", "~x"),
    "a range": ("x = range(3)", "x = range(0, 3, 2)", "~x"),
    "a slice": ("x = slice(1, 2)", "x = slice(1, 3)", "~x"),
    "a Decimal's places": ("from decimal import Decimal\nx = Decimal('1.0')", "x = Decimal('1.00')", "~x"),
    "a Decimal's NaN": ("from decimal import Decimal\nx = Decimal('NaN1')", "x = Decimal('sNaN1')", "~x"),
    "a Fraction": ("from fractions import Fraction\nx = Fraction(1, 2)", "x += 1", "~x"),
    "a date": ("import datetime\nx = datetime.date(2024, 2, 29)", "x += datetime.timedelta(1)", "~x"),
    "a date to a datetime": (
        "import datetime\nx = datetime.date(2024, 2, 29)", "x = datetime.datetime(2024, 2, 29)", "~x"),
    "a time's fold": ("import datetime\nx = datetime.time(1, 2)", "x = x.replace(fold=1)", "~x"),
    "a time's zone": (
        "import datetime\nx = datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone.utc)",
        "x = x.replace(tzinfo=datetime.timezone(datetime.timedelta(0), 'Z'))", "~x"),
    "a microsecond": (
        "import datetime\nx = datetime.timedelta(1)", "x += datetime.timedelta(microseconds=1)", "~x"),
    "a zone": (
        "from zoneinfo import ZoneInfo\nx = ZoneInfo('Europe/Berlin')", "x = ZoneInfo('Europe/Paris')", "~x"),
    "a path": ("from pathlib import Path\nx = Path('/a/b')", "x = Path('/a/c')", "~x"),
    "a pure path to a path": (
        "from pathlib import Path, PurePosixPath\nx = PurePosixPath('/a')", "x = Path('/a')", "~x"),
    "a UUID": ("import uuid\nx = uuid.UUID(int=1)", "x = uuid.UUID(int=2)", "~x"),
    "a pattern's flags": ("import re\nx = re.compile('a')", "x = re.compile('a', re.I)", "~x"),
    "a match": ("import re\nx = re.match('.', 'a')", "x = re.match('.', 'b')", "~x"),
    "an address": (
        "import ipaddress\nx = ipaddress.ip_address('::1')", "x = ipaddress.ip_address('::2')", "~x"),
    "an enumeration's member": (
        "import enum\nclass E(enum.Enum):\n    A = 1\n    B = 2\nx = E.A", "x = E.B", "~x"),
    "a number to an enumeration's member": (
        "import enum\nclass E(enum.IntEnum):\n    A = 1\nx = 1", "x = E.A", "~x"),
    "flags": ("import enum\nclass E(enum.Flag):\n    A = 1\n    B = 2\nx = E.A", "x |= E.B", "~x"),
    "a subclass of int": ("class N(int): pass\nx = N(1)", "x = N(2)", "~x"),
    "an int to its subclass": ("class N(int): pass\nx = 1", "x = N(1)", "~x"),
    "the sign of a zero in a subclass of float": ("class N(float): pass\nx = N(0.0)", "x = N(-0.0)", "~x"),
    "a subclass of str": ("class S(str): pass\nx = S('a')", "x = S('b')", "~x"),
    "an attribute of a subclass of str": ("class S(str): pass\nx = S('a')", "x.a = 1", "~x"),
    "a named tuple": (
        "from collections import namedtuple\nP = namedtuple('P', 'a b')\nx = P(1, 2)", "x = x._replace(a=3)",
        "~x"),
    "a tuple to a named tuple": (
        "from collections import namedtuple\nP = namedtuple('P', 'a b')\nx = (1, 2)", "x = P(1, 2)", "~x"),
    "a type for a type": ("x = int", "x = float", "~x"),
    "a generic alias": ("x = list[int]", "x = list[str]", "~x"),
    "a union": ("x = int | str", "x = int | bytes", "~x"),
}  # fmt: skip

NOT_REPORTED: Final = {
    "NaN again": ("x = float('nan')", "x = float('nan')"),
    "NaN in a list again": ("x = [float('nan')]", "x = [float('nan')]"),
    "-0.0 again": ("x = -0.0", "x = 0.0 * -1"),
    "a big number again": ("x = 10 ** 40", "x = 10 ** 20 * 10 ** 20"),
    "a huge number again": ("x = 1 << 700_000", "x = 2 << 699_999"),
    "a long text again": ("x = 'a' * 200_000", "x = 'a' * 100_000 + 'a' * 100_000"),
    "a text's hash": ("x = 'not ' * 3; y = (x, 1)", "hash(x); hash(y)"),
    "a text's UTF-8": ("x = 'é' * 3", "x.encode(); open('é', 'w').close()"),
    "a Decimal again": ("from decimal import Decimal\nx = Decimal('1.50')", "x = Decimal('1.50'); hash(x)"),
    "a Fraction again": ("from fractions import Fraction\nx = Fraction(1, 2)", "x = Fraction(2, 4); hash(x)"),
    "a datetime again": (
        "import datetime\nx = datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone.utc)",
        "x = datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone.utc); hash(x)"),
    "hashes of dates and times": (
        "import datetime as d\nx = [d.date(2024, 1, 1), d.time(1), d.datetime(2024, 1, 1), d.timedelta(1)]",
        "[hash(each) for each in x]"),
    "a zone's cache": (
        "import datetime\nfrom zoneinfo import ZoneInfo\nx = ZoneInfo('Europe/Berlin')",
        "datetime.datetime(2024, 6, 1, tzinfo=x).utcoffset()"),
    "a path that is looked at": (
        "from pathlib import Path\nx = Path('/a/b.c')",
        "hash(x); str(x); x.parts; x.suffix; x.parent; x == x; x < x"),
    "a pattern that is used": (
        "import re\nx = re.compile('a(b)?')", "x.match('ab'); x.sub('c', 'ab'); hash(x)"),
    "a pattern again": ("import re\nx = re.compile('a(b)?')", "re.purge(); x = re.compile('a(b)?')"),
    "a match that is used": ("import re\nx = re.match('(a)', 'a')", "x.groups(); x.span()"),
    "an enumeration's member again": (
        "import enum\nclass E(enum.Enum):\n    A = 1\n    B = 2\nx = E.A", "x = E(1); x.name; hash(x); E['B']"),
    "flags that are combined": (
        "import enum\nclass E(enum.Flag):\n    A = 1\n    B = 2\nx = E.A | E.B",
        "E.A in x; list(x); x = E.B | E.A"),
    "a UUID that is looked at": ("import uuid\nx = uuid.UUID(int=1)", "str(x); hash(x); x = uuid.UUID(int=1)"),
    "an address that is looked at": (
        "import ipaddress\nx = ipaddress.ip_network('10.0.0.0/8')",
        "ipaddress.ip_address('10.0.0.1') in x; hash(x); str(x); x.prefixlen"),
    "a named tuple again": (
        "from collections import namedtuple\nP = namedtuple('P', 'a b')\nx = P(1, 2)", "x = P(a=1, b=2); x.a"),
    "a generic alias again": ("x = dict[str, list[int]]", "x = dict[str, list[int]]; hash(x)"),
    "a type alias of typing": ("import typing\nx = typing.Optional[int]", "x = typing.Optional[int]; hash(x)"),
    "a subclass of str again": ("class S(str): pass\nx = S('a')", "x = S('a'); hash(x)"),
}  # fmt: skip
