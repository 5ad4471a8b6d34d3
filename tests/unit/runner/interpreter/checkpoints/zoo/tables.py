"""pandas and Arrow: code that makes tables, and what is true where they are as they were."""

from __future__ import annotations

_BEFORE = (
    "import numpy as np, pandas as pd\n"
    "from pandas.testing import assert_frame_equal as afe, assert_series_equal as ase\n"
    "import pyarrow as pa\n"
)

_KINDS: dict[str, tuple[str, str]] = {
    "series": (
        "s = pd.Series([1, 2, 3], index=list('abc'), name='n')",
        "ase(s, pd.Series([1, 2, 3], index=list('abc'), name='n')) is None",
    ),
    "frame": (
        (
            "def made(): return pd.DataFrame({'i': [1, 2], 'f': [.5, None], 's': ['ä', None], "
            "'b': [True, False]})\n"
            "d = made()"
        ),
        "afe(d, made()) is None",
    ),
    "frame-large": (
        ("def made(): return pd.DataFrame({f'c{i}': np.arange(200_000.) + i for i in range(5)})\nd = made()"),
        "afe(d, made()) is None",
    ),
    "frame-of-one-block": (
        (
            "def made(): return pd.DataFrame(np.arange(60_000).reshape(10_000, 6), "
            "columns=list('abcdef'))\n"
            "d = made()"
        ),
        "afe(d, made()) is None",
    ),
    "frame-with-attributes": (
        ("d = pd.DataFrame({'a': [1]}); d.attrs['source'] = [1]; d.flags.allows_duplicate_labels = False"),
        "d.attrs == {'source': [1]} and not d.flags.allows_duplicate_labels",
    ),
    "frame-alias": (
        "d = pd.DataFrame({'a': [1]}); e = d; f = {'d': d}",
        "e is d and f['d'] is d",
    ),
    "frames-in-a-container": (
        "d = {k: pd.DataFrame({k: range(3)}) for k in 'ab'}; x = d['a']",
        "d['a'] is x and d['b']['b'].sum() == 3",
    ),
    "views-of-one-frame": (
        "d = pd.DataFrame({'a': range(1000), 'b': 2.}); c = d['a']; h = d.iloc[:10]; t = d.T.T",
        (
            "(h.iloc[0, 0] == 0 and c.sum() == 499500) and (lambda x: (x.__setitem__('a', 1), "
            "d['a'].sum() == 499500)[1])(h.copy())"
        ),
    ),
    "views-stay-apart": (
        ("d = pd.DataFrame({'a': range(1000)}); h = d[:]\nh.loc[0, 'a'] = -1"),
        "d.loc[0, 'a'] == 0 and h.loc[0, 'a'] == -1",
    ),
    "categorical": (
        (
            "def made(): return pd.DataFrame({'c': pd.Categorical(['lo', 'hi', None], ['lo', "
            "'mid', 'hi'], ordered=True)})\n"
            "d = made(); c = d['c'].cat.categories"
        ),
        (
            "afe(d, made()) is None and d['c'].cat.ordered and list(c) == ['lo', 'mid', 'hi'] "
            "and d['c'].max() == 'hi'"
        ),
    ),
    "multi-index": (
        (
            "def made():\n"
            "    i = pd.MultiIndex.from_product([['a', 'b'], [1, 2]], names=['x', 'y'])\n"
            "    return pd.DataFrame({('u', 'v'): range(4)}, index=i)\n"
            "d = made()"
        ),
        (
            "afe(d, made()) is None and d.index.names == ['x', 'y'] and d.columns.nlevels == 2 "
            "and d.loc[('a', 2)].sum() == 1"
        ),
    ),
    "zones": (
        (
            "def made(): return pd.DataFrame({'t': pd.date_range('2024-03-30', periods=4, "
            "freq='12h', tz='Europe/Berlin')})\n"
            "d = made(); u = d['t'].dt.tz_convert('UTC')"
        ),
        ("afe(d, made()) is None and str(d['t'].dtype.tz) == 'Europe/Berlin' and str(u.dtype.tz) == 'UTC'"),
    ),
    "times-and-periods": (
        (
            "i = pd.date_range('2024', periods=3, freq='D'); p = pd.period_range('2024', "
            "periods=3, freq='M'); t = pd.to_timedelta([1, 2], 's'); v = pd.interval_range(0, 3)"
        ),
        "i.freqstr == 'D' and p.freqstr == 'M' and t[1].seconds == 2 and v[0].right == 1",
    ),
    "timestamps": (
        (
            "a, b, c, d, e = pd.Timestamp('2024-01-02', tz='UTC'), pd.Timedelta('1D'), "
            "pd.Period('2024', 'Y'), pd.NaT, pd.NA"
        ),
        (
            "a.isoformat() == '2024-01-02T00:00:00+00:00' and b.days == 1 and c.year == 2024 and "
            "d is pd.NaT and e is pd.NA"
        ),
    ),
    "extension-dtypes": (
        (
            "def made(): return pd.DataFrame({'i': pd.array([1, None], 'Int64'), 'f': "
            "pd.array([1.5, None], 'Float32'), 'b': pd.array([True, None], 'boolean'), 's': "
            "pd.array(['x', None], 'string'), 'p': pd.array([1, 2], pd.SparseDtype(int, 0))})\n"
            "d = made()"
        ),
        "afe(d, made()) is None and [str(t) for t in d.dtypes] == [str(t) for t in made().dtypes]",
    ),
    "arrow-dtypes": (
        (
            "def made(): return pd.DataFrame({'a': pd.array([1, None], 'int64[pyarrow]'), 's': "
            "pd.array(['x', 'y'], 'string[pyarrow]'), 'l': pd.array([[1], [2, 3]], "
            "pd.ArrowDtype(pa.list_(pa.int8())))})\n"
            "d = made()"
        ),
        "afe(d, made()) is None and list(map(str, d.dtypes)) == list(map(str, made().dtypes))",
    ),
    "column-of-objects": (
        "o = [1]; s = pd.Series([o, {'k': o}, None], dtype=object)",
        "s[0] is o and s[1]['k'] is o",
    ),
    "frame-of-a-class": (
        (
            "class F(pd.DataFrame):\n"
            "    _metadata = ['unit']\n"
            "    @property\n"
            "    def _constructor(self): return F\n"
            "d = F({'a': [1, 2]}); d.unit = 'm'"
        ),
        "type(d) is F and d.unit == 'm' and type(d.head(1)) is F",
    ),
    "index-kinds": (
        (
            "a = [pd.RangeIndex(3, name='r'), pd.Index(['x']), pd.CategoricalIndex(list('aba')), "
            "pd.IntervalIndex.from_breaks([0, 1])]"
        ),
        (
            "[type(i).__name__ for i in a] == ['RangeIndex', 'Index', 'CategoricalIndex', "
            "'IntervalIndex'] and a[0].name == 'r'"
        ),
    ),
    "group-by": (
        "d = pd.DataFrame({'k': list('aab'), 'v': [1, 2, 3]}); g = d.groupby('k')['v']",
        "g.sum().to_dict() == {'a': 3, 'b': 3}",
    ),
    "rolling": (
        "s = pd.Series(range(5)); r = s.rolling(2)",
        "r.sum().tolist()[1:] == [1, 3, 5, 7]",
    ),
    "offset": (
        "o = pd.offsets.BusinessDay(3)",
        "pd.Timestamp('2024-01-05') + o == pd.Timestamp('2024-01-10')",
    ),
    "pandas-options": (
        "pd.set_option('display.max_rows', 7)",
        "pd.get_option('display.max_rows') == 7",
    ),
    "arrow-table": (
        (
            "def made(): return pa.table({'i': [1, None], 's': ['x', 'y'], 'l': [[1], []]}, "
            "metadata={'k': 'v'})\n"
            "t = made()"
        ),
        "t.equals(made(), check_metadata=True)",
    ),
    "arrow-table-large": (
        ("def made(): return pa.table({'a': pa.array(range(300_000))})\nt = made()"),
        "t.equals(made())",
    ),
    "arrow-chunks": (
        "c = pa.chunked_array([[1, 2], [3]]); b = pa.record_batch([[1, 2]], ['x'])",
        "c.num_chunks == 2 and c.to_pylist() == [1, 2, 3] and b.to_pydict() == {'x': [1, 2]}",
    ),
    "arrow-arrays": (
        (
            "a = [pa.array([1, None]), pa.array(['x']).dictionary_encode(), pa.array([{'k': 1}]),"
            " pa.array([1.5], pa.float32()), pa.array([b'x'], pa.large_binary()), pa.nulls(2)]"
        ),
        (
            "[x.to_pylist() for x in a] == [[1, None], ['x'], [{'k': 1}], [1.5], [b'x'], [None, "
            "None]] and str(a[1].type).startswith('dictionary')"
        ),
    ),
    "arrow-slice": (
        "a = pa.array(range(10_000))[10:13]",
        "a.to_pylist() == [10, 11, 12]",
    ),
    "arrow-schema": (
        (
            "s = pa.schema([pa.field('a', pa.decimal128(5, 2), nullable=False), ('t', "
            "pa.timestamp('us', 'UTC'))], {'k': 'v'})"
        ),
        (
            "s.field('a').type.precision == 5 and not s.field('a').nullable and s.metadata == "
            "{b'k': b'v'} and s.field('t').type.tz == 'UTC'"
        ),
    ),
    "arrow-scalar-and-buffer": (
        "x = pa.scalar(5, pa.int8()); b = pa.py_buffer(b'abc')",
        "x.as_py() == 5 and x.type == pa.int8() and b.to_pybytes() == b'abc'",
    ),
    "arrow-expression": (
        ("import pyarrow.compute as pc\ne = pc.field('a') > 2"),
        "e.equals(pc.field('a') > 2)",
    ),
    "arrow-and-pandas-of-one-memory": (
        "d = pd.DataFrame({'a': np.arange(1000)}); t = pa.Table.from_pandas(d)",
        "t.to_pandas().equals(d)",
    ),
}
TABLES = {name: (_BEFORE + make, holds) for name, (make, holds) in _KINDS.items()}
