"""NumPy, SciPy, scikit-learn."""

from __future__ import annotations

from typing import Final

_N: Final = "import numpy as np\n"
_BIG: Final = _N + "x = np.zeros((500, 500))\n"
_CSR: Final = "import scipy.sparse as s\nx = s.csr_matrix([[1, 0], [0, 2]])\n"
_FIT: Final = (
    _N + "from sklearn.linear_model import LinearRegression\nx = LinearRegression()\n"
    "a = np.arange(8.0).reshape(4, 2); b = np.array([1.0, 2, 4, 3])\n"
)
_TREE: Final = (
    _N + "from sklearn.tree import DecisionTreeRegressor\nx = DecisionTreeRegressor(random_state=0)\n"
    "a = np.arange(8.0).reshape(4, 2); b = np.array([1.0, 2, 4, 3])\nx.fit(a, b)\n"
)

FOUND: Final = {
    "an element": (_N + "x = np.arange(3)", "x[1] = 7", "~x"),
    "an element of a large array": (_BIG, "x[250, 250] = 1", "~x"),
    "an element of a large array, in its last byte": (_BIG, "x.view('u1')[-1, -1] = 1", "~x"),
    "the sign of a zero in an array of NumPy's": (_N + "x = np.zeros(3)", "x[1] = -0.0", "~x"),
    "NaN in an array": (_N + "x = np.zeros(3)", "x[1] = np.nan", "~x"),
    "an array in place": (_BIG, "x += 1", "~x"),
    "an array sorted in place": (_N + "x = np.array([3, 1, 2])", "x.sort()", "~x"),
    "a shape": (_N + "x = np.arange(6)", "x.shape = (2, 3)", "~x"),
    "a shape, of nothing": (_N + "x = np.zeros((0, 2))", "x = np.zeros((0, 3))", "~x"),
    "a dtype": (_N + "x = np.zeros(3, 'i4')", "x = x.astype('u4')", "~x"),
    "a byte order": (_N + "x = np.zeros(3, '<i4')", "x = x.astype('>i4')", "~x"),
    "a dtype's metadata": (_N + "x = np.dtype('f8')", "x = np.dtype('f8', metadata={'a': 1})", "~x"),
    "whether an array can be written to": (_N + "x = np.zeros(3)", "x.flags.writeable = False", "~x"),
    "a view of an array, written through": (_N + "x = np.zeros(3); y = x[1:]", "y[0] = 1", "~x ~y"),
    "a part of an array that a view does not show": (_N + "x = np.zeros(3); y = x[1:]", "x[0] = 1", "~x"),
    "a view of a large array": (_BIG + "y = x[100:, ::2]", "x[150, 4] = 1", "~x ~y"),
    "a view whose array has no name": (_N + "x = np.zeros(9)[3:6]; y = x.base", "y[0] = 1", "~y"),
    "a transposed view": (_N + "x = np.arange(6).reshape(2, 3); y = x.T", "y[0, 1] = 9", "~x ~y"),
    "a copy in the place of a view": (_N + "x = np.zeros(3); y = x[:]", "y = y.copy()", "~y"),
    "a view in the place of a copy": (_N + "x = np.zeros(3); y = np.zeros(3)", "y = x", "~y"),
    "another part of an array in view": (_N + "x = np.zeros(4); y = x[:2]", "y = x[2:]", "~y"),
    "an array over a buffer": (_N + "b = bytearray(8); x = np.frombuffer(b, 'u1')", "b[3] = 1", "~b ~x"),
    "an array in a list": (_N + "x = [np.zeros(3)]", "x[0][1] = 1", "~x"),
    "an object in an array": (_N + "x = np.array([[1], {}], dtype=object)", "x[1]['a'] = 1", "~x"),
    "an object of an array, shared": (
        _N + "y = []; x = np.array([None, y], dtype=object)", "y.append(1)", "~x ~y"),
    "a field": (_N + "x = np.zeros(2, [('a', 'i4'), ('b', 'f8')])", "x['b'][1] = 2", "~x"),
    "a field's name": (_N + "x = np.zeros(2, [('a', 'i4')])", "x.dtype.names = ('b',)", "~x"),
    "a text in an array": (_N + "x = np.array(['a', 'bc'])", "x[0] = 'd'", "~x"),
    "a date in an array": (_N + "x = np.array(['2024-01-01'], 'M8[D]')", "x += 1", "~x"),
    "a mask": (_N + "x = np.ma.array([1, 2], mask=[0, 0])", "x[0] = np.ma.masked", "~x"),
    "an attribute of a subclass of ndarray": (
        _N + "class A(np.ndarray): pass\nx = np.zeros(3).view(A)", "x.a = 1", "~x"),
    "an array without dimensions": (_N + "x = np.array(1)", "x[...] = 2", "~x"),
    "a number to an element of NumPy's": (_N + "x = 1.0", "x = np.float64(1.0)", "~x"),
    "an element's width": (_N + "x = np.int32(1)", "x = np.int64(1)", "~x"),
    "a generator of NumPy's": (_N + "x = np.random.default_rng(1)", "x.random()", "~x"),
    "a random state of NumPy's": (_N + "x = np.random.RandomState(1)", "x.rand()", "~x"),
    "an array in a file": (_N + "x = np.memmap('memmap', 'u1', 'w+', shape=(9000,))", "x[5] = 1", "~x"),
    "elements behind a stride": (_N + "x = np.zeros((300, 300))[::2, ::3]", "x[140, 90] = 1", "~x"),
    "an array in the order of Fortran": (_N + "x = np.zeros((200, 200), order='F')", "x[150, 3] = 1", "~x"),
    "a broadcast array": (_N + "y = np.zeros(3); x = np.broadcast_to(y, (2, 3))", "y[0] = 1", "~x ~y"),
    "a sparse matrix": (_CSR, "x.data[0] = 5", "~x"),
    "a sparse matrix's place": (_CSR, "x.indices[0] = 1", "~x"),
    "a model that is fitted": (_FIT, "x.fit(a, b)", "~x"),
    "a model's setting": (_FIT, "x.set_params(fit_intercept=False)", "~x"),
    "a model's coefficient": (_FIT + "x.fit(a, b)", "x.coef_[0] = 0", "~x"),
    "a tree that is fitted anew": (_TREE, "x.fit(a, b[::-1])", "~x"),
}  # fmt: skip

NOT_REPORTED: Final = {
    "an array that is read": (
        _N + "x = np.arange(6).reshape(2, 3)", "x.sum(); x[0, 1]; x.T; x @ x.T; x.mean(axis=0); repr(x)"),
    "an element that is written again": (_BIG, "x[250, 250] = 0"),
    "an equal array of NumPy's": (_N + "x = np.arange(3)", "x = np.array([0, 1, 2])"),
    "a large array again": (_BIG, "x = np.zeros((500, 500))"),
    "a large array that is read": (_BIG, "x.sum(); x.max(); x.copy(); (x == 0).all()"),
    "NaN in an array again": (_N + "x = np.array([np.nan])", "x[0] = np.nan"),
    "a view that came and went again": (_BIG, "y = x[1:]; y.sum(); del y"),
    "an equal view of an array": (_N + "x = np.zeros(4); y = x[1:]", "y = x[1:]"),
    "a flag that is set and set back": (
        _N + "x = np.zeros(3)", "x.flags.writeable = False; x.flags.writeable = True"),
    "objects of an array that are read": (_N + "x = np.array([[1], {}], dtype=object)", "x[0]; list(x); x.sum"),
    "fields that are read": (
        _N + "x = np.zeros(2, [('a', 'i4'), ('b', 'f8')])", "x['a'].sum(); x.dtype.names; x[0]"),
    "a generator of NumPy's that is asked": (_N + "x = np.random.default_rng(1)", "x.bit_generator.state"),
    "the random numbers of NumPy's module": (_N, "np.random.seed(1); np.random.rand()"),
    "an element again": (_N + "x = np.float64(1.5)", "x = np.float64(3) / 2"),
    "a dtype that is used": (
        _N + "x = np.dtype([('a', 'i4')])", "np.zeros(3, x); hash(x); x.fields; x.itemsize"),
    "a sparse matrix that is read": (_CSR, "x @ x; x.toarray(); x.sum(); x.has_sorted_indices"),
    "a model that predicts": (_FIT + "x.fit(a, b)", "x.predict(a); x.score(a, b); repr(x)"),
    "a model that is fitted alike": (_FIT + "x.fit(a, b)", "x.fit(a, b)"),
    "a tree that predicts": (_TREE, "x.predict(a)"),
}  # fmt: skip
