"""Objects of the standard library, most of them made in C."""

from __future__ import annotations

from typing import Final

_R: Final = "import random\nx = random.Random(1)\n"
_W: Final = "import weakref\nclass C: pass\nc = C()\n"

FOUND: Final = {
    "a generator of random numbers": (_R, "x.random()", "~x"),
    "one half of a pair of random numbers": (_R, "x.gauss(0, 1)", "~x"),
    "its seed": (_R, "x.seed(2)", "~x"),
    "a lock": ("import threading\nx = threading.Lock()", "x.acquire()", "~x"),
    "a reentrant lock": ("import threading\nx = threading.RLock()", "x.acquire()", "~x"),
    "an event": ("import threading\nx = threading.Event()", "x.set()", "~x"),
    "a semaphore": ("import threading\nx = threading.Semaphore(2)", "x.acquire()", "~x"),
    "a weak reference's target": (_W + "x = weakref.ref(c)", "c.a = 1", "~c ~x"),
    "a weak reference that dies": (_W + "x = weakref.ref(c)", "del c", "-c ~x"),
    "a weak dictionary": (_W + "x = weakref.WeakValueDictionary()", "x['a'] = c", "~x"),
    "a weak dictionary that is emptied": (_W + "x = weakref.WeakValueDictionary(a=c)", "del c", "-c ~x"),
    "a weak set": (_W + "x = weakref.WeakSet()", "x.add(c)", "~x"),
    "a proxy's object": (_W + "x = weakref.proxy(c)", "c.a = 1", "~c ~x"),
    "text in memory": ("import io\nx = io.StringIO('abc')", "x.write('d')", "~x"),
    "a place in text in memory": ("import io\nx = io.StringIO('abc')", "x.read(1)", "~x"),
    "bytes in memory": ("import io\nx = io.BytesIO(b'abc')", "x.getbuffer()[1] = 0", "~x"),
    "a closed stream": ("import io\nx = io.BytesIO(b'abc')", "x.close()", "~x"),
    "a hash object": ("import hashlib\nx = hashlib.sha256(b'a')", "x.update(b'b')", "~x"),
    "another hash object": ("import hashlib\nx = hashlib.blake2b(b'a')", "x.update(b'b')", "~x"),
    "a hash with a key": ("import hmac\nx = hmac.new(b'k', b'a', 'sha256')", "x.update(b'b')", "~x"),
    "a parser of arguments": ("import argparse\nx = argparse.ArgumentParser()", "x.add_argument('-a')", "~x"),
    "a configuration": (
        "import configparser\nx = configparser.ConfigParser()", "x.read_string('[a]\\nb = 1')", "~x"),
    "a logger": ("import logging\nx = logging.getLogger('mine')", "x.setLevel(10)", "~x"),
    "a tree of elements": (
        "import xml.etree.ElementTree as t\nx = t.Element('a')", "t.SubElement(x, 'b').text = '1'", "~x"),
    "an element's text": ("import xml.etree.ElementTree as t\nx = t.Element('a')", "x.text = 'b'", "~x"),
    "an element's attribute": (
        "import xml.etree.ElementTree as t\nx = t.Element('a', k='1')", "x.set('k', '2')", "~x"),
    "a structure": ("import struct\nx = struct.Struct('i')", "x = struct.Struct('q')", "~x"),
    "a syntax tree": ("import ast\nx = ast.parse('1')", "x.body[0].value.value = 2", "~x"),
    "a module of the user's": ("import types\nx = types.ModuleType('made')", "x.n = 1", "~x"),
    "in a module of the user's": (
        "import types\nx = types.ModuleType('made'); x.n = [1]", "x.n.append(2)", "~x"),
    "a module that is patched": (
        "import colorsys\nold = colorsys.rgb_to_yiq", "colorsys.rgb_to_yiq = lambda *a: 0", "~colorsys"),
    "a module that gets a value": ("import colorsys", "colorsys.mine = 1", "~colorsys"),
    "a module's class that is patched": (
        "import colorsys\nclass C: pass\ncolorsys.C = C", "C.n = 1", "~C ~colorsys"),
    "a context": (
        "import contextvars\nv = contextvars.ContextVar('v')\nx = contextvars.Context()", "x.run(v.set, 1)",
        "~x"),
    "a context variable": ("import contextvars\nx = contextvars.ContextVar('x', default=1)", "x.set(2)", "~x"),
    "a thread": (
        "import threading\ndef f(): pass\nx = threading.Thread(target=f)", "x.start(); x.join()", "~x"),
    "a future": ("import concurrent.futures\nx = concurrent.futures.Future()", "x.set_result([1])", "~x"),
    "an open file": ("x = open('read', 'w+')", "x.write('abc'); x.flush()", "~x"),
    "an open file that is closed": ("x = open('read', 'w+')", "x.close()", "~x"),
    "a template": ("import string\nx = string.Template('$a')", "x.template = '$b'", "~x"),
    "a Decimal's context": ("import decimal\nx = decimal.Context()", "x.prec = 5", "~x"),
    "an exit stack": ("import contextlib\nx = contextlib.ExitStack()", "x.callback(print)", "~x"),
    "a cookie": ("import http.cookies\nx = http.cookies.SimpleCookie()", "x['a'] = 'b'", "~x"),
    "a message": ("import email.message\nx = email.message.EmailMessage()", "x['To'] = 'a'", "~x"),
}  # fmt: skip

NOT_REPORTED: Final = {
    "the module's random numbers": ("import random", "random.random()"),
    "a generator of random numbers that is asked": (_R, "x.getstate()"),
    "a lock that was held": ("import threading\nx = threading.Lock()", "x.acquire(); x.release(); x.locked()"),
    "an event that is asked": ("import threading\nx = threading.Event()", "x.is_set()"),
    "a weak reference that is called": (_W + "x = weakref.ref(c)", "x(); hash(x)"),
    "a weak dictionary that is read": (_W + "x = weakref.WeakValueDictionary(a=c)", "x['a']; list(x); len(x)"),
    "text in memory that is read and wound back": (
        "import io\nx = io.StringIO('abc')", "x.read(); x.seek(0); x.getvalue()"),
    "bytes in memory that are looked at": (
        "import io\nx = io.BytesIO(b'abc')", "x.getvalue(); x.getbuffer()[0]"),
    "a hash object that is asked": ("import hashlib\nx = hashlib.sha256(b'a')", "x.hexdigest(); x.copy()"),
    "a parser that parses": ("import argparse\nx = argparse.ArgumentParser()", "x.parse_args([])"),
    "a logger that is asked": (
        "import logging\nx = logging.getLogger('mine')", "x.info('no'); x.getEffectiveLevel()"),
    "a tree of elements that is read": (
        "import xml.etree.ElementTree as t\nx = t.fromstring('<a><b/></a>')",
        "x.find('b'); list(x); t.tostring(x)"),
    "a syntax tree that is walked": (
        "import ast\nx = ast.parse('1 + a')", "list(ast.walk(x)); ast.dump(x); ast.unparse(x)"),
    "a module that is used": (
        "import json, re, tokenize", "json.loads('1'); re.match('b+', 'b'); tokenize.TokenInfo"),
    "a module that gets a submodule": ("import xml", "import xml.sax.saxutils as y; del y"),
    "warnings of a cell": ("import warnings", "warnings.warn('once', UserWarning)"),
    "a context variable that is read": (
        "import contextvars\nx = contextvars.ContextVar('x', default=1); x.set(2)", "x.get()"),
    "a future that is asked": ("import concurrent.futures\nx = concurrent.futures.Future()", "x.done()"),
    "a structure that is used": ("import struct\nx = struct.Struct('i')", "x.pack(1); x.size"),
    "a Decimal's context that is used": (
        "import decimal\nx = decimal.Context(prec=5)", "x.add(decimal.Decimal(1), decimal.Decimal(2))"),
    "the standard streams": ("import sys\nx = sys.stdout", "print('text'); x.flush()"),
    "a random number's module": ("import random\nx = random", "x.seed(5); x.random()"),
}  # fmt: skip
