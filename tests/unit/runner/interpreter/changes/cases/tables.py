"""pandas and Arrow."""

from __future__ import annotations

from typing import Final

_P: Final = "import pandas as pd\n"
_D: Final = _P + "x = pd.DataFrame({'a': [1, 2, 3], 'b': [1.5, 2.5, 3.5], 'c': ['u', 'v', 'w']})\n"
_S: Final = _P + "x = pd.Series([1, 2, 3], index=list('abc'), name='s')\n"
_PA: Final = "import pyarrow as pa\nx = pa.table({'a': [1, 2], 'b': ['u', 'v']})\n"

FOUND: Final = {
    "a column": (_D, "x['a'] = [1, 2, 4]", "~x"),
    "a new column": (_D, "x['d'] = x['a'] * 2", "~x"),
    "a column that is dropped": (_D, "del x['b']", "~x"),
    "a cell": (_D, "x.loc[1, 'b'] = 9.5", "~x"),
    "a cell of text": (_D, "x.loc[1, 'c'] = 'z'", "~x"),
    "a cell of a large table": (
        _P + "import numpy as np\nx = pd.DataFrame(np.zeros((50_000, 4)), columns=list('abcd'))",
        "x.iloc[40_000, 2] = 1", "~x"),
    "a table in place": (_D, "x.sort_values('b', ascending=False, inplace=True)", "~x"),
    "names of columns": (_D, "x.columns = list('abd')", "~x"),
    "an index": (_D, "x.index = [5, 6, 7]", "~x"),
    "an index's name": (_D, "x.index.name = 'i'", "~x"),
    "a column's type": (_D, "x['a'] = x['a'].astype('int8')", "~x"),
    "attributes of a table": (_D, "x.attrs['k'] = [1]", "~x"),
    "the order of columns": (_D, "x = x[['b', 'a', 'c']]", "~x"),
    "an element of a series": (_S, "x['b'] = 9", "~x"),
    "a series's name": (_S, "x.name = 't'", "~x"),
    "a column taken out, then changed": (_D + "y = x['a']", "y.iloc[0] = 9", "~y"),
    "a table whose column was taken out": (_D + "y = x['a']", "x.loc[0, 'a'] = 9", "~x"),
    "categories": (
        _P + "x = pd.Series(['a', 'b'], dtype='category')", "x = x.cat.add_categories('c')", "~x"),
    "the order of categories": (
        _P + "x = pd.Categorical(['a', 'b'], ['a', 'b'])", "x = x.reorder_categories(['b', 'a'])", "~x"),
    "a missing value": (_P + "x = pd.array([1, 2, None], dtype='Int64')", "x[0] = pd.NA", "~x"),
    "a frequency": (_P + "x = pd.date_range('2024', periods=3)", "x = x._with_freq(None)", "~x"),
    "a zone of a column": (
        _P + "x = pd.Series(pd.date_range('2024', periods=2, tz='UTC'))",
        "x = x.dt.tz_convert('Europe/Berlin')", "~x"),
    "a moment of pandas": (_P + "x = pd.Timestamp('2024')", "x += pd.Timedelta(1, 'ns')", "~x"),
    "a duration of pandas": (_P + "x = pd.Timedelta(1, 'ns')", "x = pd.Timedelta(2, 'ns')", "~x"),
    "a unit of pandas": (_P + "x = pd.Timestamp('2024').as_unit('s')", "x = x.as_unit('ns')", "~x"),
    "a period": (_P + "x = pd.Period('2024-01')", "x += 1", "~x"),
    "an interval": (_P + "x = pd.Interval(0, 1)", "x = pd.Interval(0, 1, closed='both')", "~x"),
    "an index of several levels": (
        _P + "x = pd.MultiIndex.from_product([[1, 2], ['a', 'b']])", "x = x.set_names(['k', 'l'])", "~x"),
    "a list in a cell": (_P + "x = pd.Series([[1], [2]])", "x[0].append(3)", "~x"),
    "whether labels may be double": (_D, "x.flags.allows_duplicate_labels = False", "~x"),
    "a table in a dict": (_D + "y = {'t': x}", "x.loc[0, 'a'] = 7", "~x ~y"),
    "an attribute of a subclass of DataFrame": (
        _D + "class T(pd.DataFrame):\n    _metadata = ['m']\nx = T(x); x.m = 1", "x.m = 2", "~x"),
    "a table of Arrow's": (_PA, "x = x.set_column(0, 'a', [[1, 3]])", "~x"),
    "a schema's metadata": (_PA, "x = x.replace_schema_metadata({'k': 'v'})", "~x"),
}  # fmt: skip

NOT_REPORTED: Final = {
    "a table that is read": (
        _D,
        "x.describe(); x['a'].sum(); x.loc[1]; x.iloc[0, 1]; x.head(); x.T; x.values; x.dtypes; len(x); repr(x)"),
    "a table that is shown": (_D, "x"),
    "columns as attributes": (_D, "x.a; x.b.mean(); 'a' in x"),
    "a table that is grouped": (_D, "x.groupby('c')['a'].sum(); x.merge(x, on='a'); x.sort_values('b')"),
    "what an index looks up": (
        _D + "y = pd.Index(list('pqr'))",
        "y.get_loc('q'); y.is_unique; y.is_monotonic_increasing; 'r' in y; hash(y.dtype)"),
    "what a table's index looks up": (
        _P + "x = pd.DataFrame({'a': [1, 2]}, index=['p', 'q'])", "x.loc['q']; x.index.is_unique"),
    "what several levels look up": (
        _P + "x = pd.MultiIndex.from_product([[1, 2], ['a', 'b']])",
        "x.get_loc((1, 'b')); x.values; x.is_unique; x.get_indexer([(1, 'a')])"),
    "dates that are read": (
        _P + "x = pd.date_range('2024', periods=3)", "x.year; x[0]; x.get_loc('2024-01-02'); x.freq"),
    "an equal table": (_D, "x = x.copy()"),
    "an equal column": (_D, "x['b'] = [1.5, 2.5, 3.5]"),
    "a series that is read": (
        _S, "x['a']; x.sum(); x.index; x.to_numpy(); x.str if False else 0; x.value_counts()"),
    "a column that was taken out and read": (_D + "y = x['a']", "y.sum(); y.iloc[0]; x['a']"),
    "categories that are read": (
        _P + "x = pd.Series(['a', 'b'], dtype='category')", "x.cat.codes; x.value_counts(); x == 'a'"),
    "a moment that is read": (_P + "x = pd.Timestamp('2024')", "x.year; hash(x); x = pd.Timestamp('2024')"),
    "a table of Arrow's that is read": (
        _PA, "x.column('a'); x.to_pydict(); x.num_rows; x.to_pandas(); x.schema"),
}  # fmt: skip
