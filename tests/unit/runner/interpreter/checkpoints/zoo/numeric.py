"""NumPy: code that makes arrays and generators, and what is true where they are as they were."""

from __future__ import annotations

_BEFORE = (
    "import numpy as np\n"
    "def same(x, y): return x.dtype == y.dtype and x.shape == y.shape and (x == y).all()\n"
)

_KINDS: dict[str, tuple[str, str]] = {
    "array-dtypes": (
        ("kinds = '?bBhHiIlLqQefdgFDG'\na = {k: np.arange(12).reshape(3, 4).astype(k) for k in kinds}"),
        "all(v.dtype == k and same(v, np.arange(12).reshape(3, 4).astype(k)) for k, v in a.items())",
    ),
    "array-byte-order": (
        "a = np.arange(5, dtype='>i4'); b = np.arange(2000, dtype='>f8')",
        "a.dtype.str == '>i4' and a.sum() == 10 and b.dtype.str == '>f8' and b[1999] == 1999",
    ),
    "array-texts": (
        "a = np.array(['ä', 'bcd']); b = np.array([b'x', b'yz']); c = np.array([b'ab'], 'V2')",
        "a.dtype.str == '<U3' and a[0] == 'ä' and b.dtype.str == '|S2' and c.dtype.str == '|V2'",
    ),
    "array-string-dtype": (
        "a = np.array(['short', 'x' * 1000, ''], np.dtypes.StringDType())",
        "a.dtype == np.dtypes.StringDType() and a.tolist() == ['short', 'x' * 1000, '']",
    ),
    "array-times": (
        "a = np.array(['2024-01-02', 'NaT'], 'M8[D]'); b = np.array([5, 6], 'm8[ns]')",
        (
            "a.dtype.str == '<M8[D]' and np.isnat(a[1]) and str(a[0]) == '2024-01-02' and "
            "b.dtype.str == '<m8[ns]'"
        ),
    ),
    "array-structured": (
        (
            "k = np.dtype([('x', 'i4'), ('s', 'U3'), ('m', 'f8', (2, 2))], align=True)\n"
            "a = np.zeros(3, k); a['x'] = [1, 2, 3]; a[1]['m'] = 7; f = a['x']"
        ),
        (
            "a.dtype == k and a.dtype.isalignedstruct and (f.__setitem__(0, 9), a[0]['x'] == 9, "
            "f.__setitem__(0, 1))[1] and a[1]['m'].sum() == 28"
        ),
    ),
    "array-records": (
        "a = np.rec.array([(1, 2.5), (3, 4.5)], names='x,y'); r = a[0]",
        "type(a) is np.recarray and a.x.tolist() == [1, 3] and r.y == 2.5 and type(r) is np.record",
    ),
    "array-of-objects": (
        "o = [1]; a = np.array([o, None, {'k': o}], object)",
        "a[0] is o and a[2]['k'] is o and a.dtype == object",
    ),
    "array-of-objects-in-a-cycle": (
        "a = np.empty(2, object); a[0] = a",
        "a[0] is a and a[1] is None",
    ),
    "array-of-instances": (
        ("class K: ...\nk = K(); a = np.array([k, K(), k], object)"),
        "a[0] is k is a[2] and type(a[1]) is K",
    ),
    "array-structured-with-objects": (
        "o = [1]; a = np.array([(1, o)], [('n', int), ('o', object)])",
        "a[0]['o'] is o",
    ),
    "array-masked": (
        "a = np.ma.array(np.arange(5.), mask=[0, 1, 0, 0, 1], fill_value=-1)",
        ("a.mask.tolist() == [False, True, False, False, True] and a.sum() == 5 and a.fill_value == -1"),
    ),
    "array-masked-hard": (
        "a = np.ma.array([1, 2], mask=[1, 0], hard_mask=True); b = a.data",
        "a.hardmask and a.filled(0).tolist() == [0, 2] and b.tolist() == [1, 2]",
    ),
    "masked-singleton": (
        "m, n = np.ma.masked, np.ma.nomask",
        "m is np.ma.masked and n is np.ma.nomask",
    ),
    "matrix": (
        "a = np.asmatrix([[1, 2], [3, 4]])",
        "type(a) is np.matrix and (a * a).tolist() == [[7, 10], [15, 22]]",
    ),
    "array-of-characters": (
        "a = np.char.array(['ab ', 'c'])",
        "type(a).__name__ == 'chararray' and (a.upper() == ['AB', 'C']).all()",
    ),
    "array-views": (
        "a = np.arange(12); b = a[2:8]; c = a[::-2]; d = a.reshape(3, 4).T; e = a.view('u1')",
        (
            "(a.__setitem__(3, 99), b[1] == 99 and c[4] == 99 and d[3, 0] == 99 and e[24] == 99, "
            "a.__setitem__(3, 3))[1] and b.base is a and c.strides == (-16,)"
        ),
    ),
    "array-views-across-variables": (
        (
            "a = np.zeros((1000, 1000)); rows = [a[0], a[999]]; box = {'diagonal': "
            "a.diagonal()}; r = a.ravel()"
        ),
        (
            "(rows[0].__setitem__(0, 5.0), box['diagonal'][0] == 5 == r[0] == a[0, 0], "
            "rows[0].__setitem__(0, 0.0))[1] and not box['diagonal'].flags.writeable"
        ),
    ),
    "array-view-without-its-base": (
        "v, w = (lambda a: (a[10:20], a[15:25]))(np.arange(100))",
        ("(v.__setitem__(5, -1), w[0] == -1, v.__setitem__(5, 15))[1] and v.tolist() == list(range(10, 20))"),
    ),
    "array-windows": (
        "a = np.arange(6); w = np.lib.stride_tricks.sliding_window_view(a, 3, writeable=True)",
        (
            "w.shape == (4, 3) and (a.__setitem__(2, 50), w[0, 2] == w[1, 1] == w[2, 0] == 50, "
            "a.__setitem__(2, 2))[1]"
        ),
    ),
    "array-broadcast": (
        "a = np.array([1, 2, 3]); b = np.broadcast_to(a, (4, 3))",
        (
            "b.strides[0] == 0 and not b.flags.writeable and (a.__setitem__(0, 9), b[3, 0] == 9, "
            "a.__setitem__(0, 1))[1]"
        ),
    ),
    "array-of-a-class-with-attributes": (
        (
            "class A(np.ndarray): ...\n"
            "a = np.arange(3).view(A); a.unit = ['m']; u = a.unit; b = a[1:]; c = np.asarray(a)"
        ),
        (
            "type(a) is type(b) is A and a.unit is u and (a.__setitem__(1, 9), b[0] == c[1] == 9,"
            " a.__setitem__(1, 1))[1]"
        ),
    ),
    "masked-array-and-its-data": (
        (
            "a = np.ma.array([1, 2, 3], mask=[1, 0, 0]); d = a.data; m = a.mask; b = a[1:]; n = "
            "np.asmatrix([[1, 2]]); o = np.asarray(n)"
        ),
        (
            "(d.__setitem__(2, 9), a[2] == b[1] == 9, d.__setitem__(2, 3))[1] and "
            "(o.__setitem__((0, 0), 5), n[0, 0] == 5, o.__setitem__((0, 0), 1))[1]"
        ),
    ),
    "memory-mapped-array-in-memory": (
        "a = np.memmap('m', 'i4', 'w+', shape=(4,)) + 1; b = np.array(np.memmap('m', 'i4', 'r'))",
        "a.tolist() == [1] * 4 and b.tolist() == [0] * 4",
    ),
    "array-fortran": (
        (
            "a = np.asfortranarray(np.arange(6).reshape(2, 3)); b = np.ones((200, 300), "
            "order='F'); b[3, 4] = 7"
        ),
        (
            "a.flags.f_contiguous and not a.flags.c_contiguous and a[1, 2] == 5 and "
            "b.flags.f_contiguous and b[3, 4] == 7"
        ),
    ),
    "array-fortran-view": (
        "a = np.zeros((100, 50), order='F'); b = a[3:7, 2]",
        "(b.__setitem__(0, 4.0), a[3, 2] == 4, b.__setitem__(0, 0.0))[1] and b.strides == (8,)",
    ),
    "array-with-gaps": (
        "a = (lambda x: x[::3, 1::2])(np.arange(10000).reshape(100, 100))",
        "a.shape == (34, 50) and a[1, 0] == 301 and a.sum() == 8416300 or a.sum()",
    ),
    "array-without-dimensions": (
        "a = np.array(5.5); b = np.array([1], object).reshape(()); c = np.array('x')",
        ("a.shape == () and type(a) is np.ndarray and a[()] == 5.5 and b.item() == 1 and c.item() == 'x'"),
    ),
    "array-empty": (
        "a = np.empty((0, 3), 'f4'); b = np.zeros((2, 0, 1))",
        "a.shape == (0, 3) and a.dtype == 'f4' and b.shape == (2, 0, 1)",
    ),
    "array-read-only": (
        "a = np.arange(3); a.flags.writeable = False; b = np.ones(5000); b.flags.writeable = False",
        "not a.flags.writeable and not b.flags.writeable and b.sum() == 5000",
    ),
    "array-of-bytes": (
        "a = np.frombuffer(b'abcdef', 'u1')",
        "not a.flags.writeable and bytes(a) == b'abcdef'",
    ),
    "array-over-a-bytearray": (
        "b = bytearray(16); a = np.frombuffer(b, 'i4')",
        "(b.__setitem__(0, 7), a[0] == 7, b.__setitem__(0, 0))[1]",
    ),
    "array-over-an-array": (
        ("import array\nb = array.array('d', [1, 2, 3]); a = np.frombuffer(b)"),
        "(b.__setitem__(0, 7.0), a[0] == 7, b.__setitem__(0, 1.0))[1]",
    ),
    "view-of-an-array": (
        "a = np.arange(6, dtype='i4'); v = memoryview(a)",
        "(a.__setitem__(1, 9), v[1] == 9, a.__setitem__(1, 1))[1] and v.format == 'i'",
    ),
    "large-array": (
        "a = np.arange(3_000_000)",
        "same(a, np.arange(3_000_000)) and a.flags.owndata and a.flags.writeable",
    ),
    "array-alias": (
        "a = np.zeros(4); b = a; c = [a]",
        "b is a and c[0] is a",
    ),
    "array-of-a-class": (
        (
            "class A(np.ndarray):\n"
            "    def __array_finalize__(self, o): self.unit = getattr(o, 'unit', None)\n"
            "    def __reduce__(self):\n"
            "        f, a, s = super().__reduce__(); return f, a, (s, self.unit)\n"
            "    def __setstate__(self, s): super().__setstate__(s[0]); self.unit = s[1]\n"
            "a = np.arange(3).view(A); a.unit = 'm'"
        ),
        "type(a) is A and a.unit == 'm' and a.tolist() == [0, 1, 2]",
    ),
    "numeric-scalars": (
        (
            "a = [np.float64(1.5), np.int8(-1), np.bool_(True), np.str_('x'), np.bytes_(b'y'), "
            "np.complex64(2j), np.datetime64('2024-01-02'), np.timedelta64(3, 's'), "
            "np.longdouble('0.1'), np.float16(0.5), np.void(b'ab')]"
        ),
        (
            "[type(x).__name__ for x in a] == ['float64', 'int8', 'bool', 'str_', 'bytes_', "
            "'complex64', 'datetime64', 'timedelta64', 'longdouble', 'float16', 'void'] and a[8] "
            "== np.longdouble('0.1') and a[6].dtype.str == '<M8[D]'"
        ),
    ),
    "dtypes": (
        (
            "a = np.dtype('f4'); b = np.dtype([('x', int)], metadata={'m': 1}); c = np.float32; "
            "d = np.dtype(object)"
        ),
        "a == 'f4' and b.metadata['m'] == 1 and c is np.float32 and d == object",
    ),
    "universal-functions": (
        "a, b, c = np.add, np.add.reduce, np.linalg.norm",
        "a is np.add and b([1, 2]) == 3 and c is np.linalg.norm",
    ),
    "vectorized-function": (
        ("def plus(x, y): return x + y\nv = np.vectorize(plus); v([1], 2)"),
        "v([1, 2], 3).tolist() == [4, 5] and v.pyfunc is plus",
    ),
    "random-generators": (
        (
            "def made(b): return np.random.Generator(b(7))\n"
            "gs = [made(b) for b in (np.random.PCG64, np.random.PCG64DXSM, np.random.Philox, "
            "np.random.SFC64, np.random.MT19937)]\n"
            "ahead = [[g.random() for _ in range(3)] and "
            "__import__('copy').deepcopy(g).random(3).tolist() for g in gs]"
        ),
        "[__import__('copy').deepcopy(g).random(3).tolist() for g in gs] == ahead",
    ),
    "random-generators-that-share-bits": (
        "b = np.random.PCG64(1); g, h = np.random.Generator(b), np.random.Generator(b)",
        "g.bit_generator is h.bit_generator is b",
    ),
    "random-state": (
        ("r = np.random.RandomState(5); r.randn(); e = __import__('copy').deepcopy(r).randn(4).tolist()"),
        "__import__('copy').deepcopy(r).randn(4).tolist() == e",
    ),
    "random-state-of-the-library": (
        "np.random.seed(3); np.random.rand(); s = np.random.get_state()[1].tolist()",
        "np.random.get_state()[1].tolist() == s",
    ),
    "seed-sequence": (
        "s = np.random.SeedSequence(5); s.spawn(2)",
        "s.n_children_spawned == 2 and s.entropy == 5",
    ),
    "polynomial": (
        "p = np.polynomial.Polynomial([1, 2, 3]); q = np.poly1d([1, 0, 2])",
        "p(2) == 17 and q(3) == 11",
    ),
    "numeric-error-state": (
        "old = np.seterr(divide='ignore')",
        "np.geterr()['divide'] == 'ignore'",
    ),
    "numeric-print-options": (
        "np.set_printoptions(precision=3, suppress=True)",
        "np.get_printoptions()['precision'] == 3 and np.get_printoptions()['suppress']",
    ),
}
NUMERIC = {name: (_BEFORE + make, holds) for name, (make, holds) in _KINDS.items()}
