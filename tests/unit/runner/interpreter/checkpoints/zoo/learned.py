"""SciPy and scikit-learn: code that makes matrices and models, and what is true where they are as they were."""

from __future__ import annotations

_BEFORE = (
    "import numpy as np, scipy.sparse as sp\n"
    "rng = np.random.RandomState(0); X = rng.rand(60, 4); y = (X[:, 0] > "
    ".5).astype(int); z = X @ [1, 2, 3, 4]\n"
)

_KINDS: dict[str, tuple[str, str]] = {
    "sparse-kinds": (
        (
            "d = np.eye(5) * 3; d[1, 3] = 2\n"
            "ms = [k(d) for k in (sp.csr_matrix, sp.csc_matrix, sp.coo_matrix, sp.dok_matrix, "
            "sp.lil_matrix, sp.dia_matrix, sp.bsr_matrix)]\n"
            "ns = [k(d) for k in (sp.csr_array, sp.csc_array, sp.coo_array, sp.dok_array, "
            "sp.lil_array, sp.dia_array, sp.bsr_array)]\n"
            "kinds = [type(m).__name__ for m in ms + ns]"
        ),
        ("[type(m).__name__ for m in ms + ns] == kinds and all((m.toarray() == d).all() for m in ms + ns)"),
    ),
    "sparse-shares-its-data": (
        "m = sp.csr_matrix(np.eye(3)); v = m.data",
        "m.data is v",
    ),
    "sparse-large": (
        "m = sp.random(2000, 2000, .01, 'csr', random_state=1); s = m.sum()",
        "m.nnz == 40000 and m.sum() == s and m.format == 'csr'",
    ),
    "spline": (
        (
            "import numpy as np\n"
            "from scipy import interpolate\n"
            "x = np.arange(6.); s = interpolate.CubicSpline(x, x**2); t = "
            "interpolate.make_interp_spline(x, x**3)"
        ),
        "abs(s(2.5) - 6.25) < 1e-9 and abs(t(1.5) - 3.375) < 1e-9",
    ),
    "distribution": (
        (
            "from scipy import stats\n"
            "d = stats.norm(1, 2); g = stats.gaussian_kde([1., 2., 4.]); a = float(g(2)[0])"
        ),
        "d.mean() == 1 and d.std() == 2 and float(g(2)[0]) == a",
    ),
    "tree-of-points": (
        (
            "import numpy as np\n"
            "from scipy.spatial import KDTree\n"
            "from scipy.spatial.transform import Rotation\n"
            "k = KDTree(np.arange(20.).reshape(10, 2)); r = Rotation.from_euler('z', 90, degrees=True)"
        ),
        "k.query([4, 5])[1] == 2 and np.allclose(r.apply([1, 0, 0]), [0, 1, 0])",
    ),
    "optimizer-result": (
        ("from scipy import optimize\no = optimize.minimize(lambda v: (v[0] - 3) ** 2, [0.])"),
        "abs(o.x[0] - 3) < 1e-4 and o.success",
    ),
    "linear-models": (
        (
            "from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, Lasso\n"
            "m = [LinearRegression().fit(X, z), Ridge().fit(X, z), Lasso(.01).fit(X, z), "
            "LogisticRegression().fit(X, y)]\n"
            "e = [k.predict(X).tolist() for k in m]"
        ),
        "[k.predict(X).tolist() for k in m] == e",
    ),
    "forests": (
        (
            "from sklearn.ensemble import RandomForestClassifier, HistGradientBoostingRegressor, "
            "GradientBoostingRegressor\n"
            "m = [RandomForestClassifier(5, random_state=0).fit(X, y), "
            "HistGradientBoostingRegressor(max_iter=5).fit(X, z), "
            "GradientBoostingRegressor(n_estimators=3).fit(X, z)]\n"
            "e = [k.predict(X).tolist() for k in m]"
        ),
        "[k.predict(X).tolist() for k in m] == e",
    ),
    "other-models": (
        (
            "from sklearn import cluster, decomposition, gaussian_process, neighbors, "
            "neural_network, svm, tree\n"
            "m = [cluster.KMeans(2, n_init=1, random_state=0).fit(X), "
            "neighbors.KNeighborsClassifier().fit(X, y), svm.SVC().fit(X, y), "
            "tree.DecisionTreeRegressor().fit(X, z), "
            "gaussian_process.GaussianProcessRegressor().fit(X, z), "
            "neural_network.MLPRegressor(hidden_layer_sizes=(3,), max_iter=300, tol=1, "
            "random_state=0).fit(X, z)]\n"
            "p = decomposition.PCA(2).fit(X); e = [k.predict(X).tolist() for k in m] + "
            "[p.transform(X).tolist()]"
        ),
        "[k.predict(X).tolist() for k in m] + [p.transform(X).tolist()] == e",
    ),
    "pipeline-with-a-transformer-of-the-session": (
        (
            "from sklearn.base import BaseEstimator, TransformerMixin\n"
            "from sklearn.pipeline import make_pipeline\n"
            "from sklearn.linear_model import LinearRegression\n"
            "class Shift(TransformerMixin, BaseEstimator):\n"
            "    def __init__(self, by=1): self.by = by\n"
            "    def fit(self, X, y=None): self.mean_ = X.mean(0); return self\n"
            "    def transform(self, X): return X - self.mean_ + self.by * factor\n"
            "factor = 2; p = make_pipeline(Shift(3), LinearRegression()).fit(X, z); e = "
            "p.predict(X).tolist()"
        ),
        "p.predict(X).tolist() == e and type(p[0]) is Shift and p.get_params()['shift__by'] == 3",
    ),
    "pipeline-with-a-function-of-the-session": (
        (
            "from sklearn.preprocessing import FunctionTransformer\n"
            "def twice(v): return v * scale\n"
            "scale = 2\n"
            "t = FunctionTransformer(twice)"
        ),
        "(t.transform(X) == X * 2).all() and t.func is twice",
    ),
    "column-transformer": (
        (
            "import pandas as pd\n"
            "from sklearn.compose import make_column_transformer\n"
            "from sklearn.preprocessing import OneHotEncoder, StandardScaler\n"
            "d = pd.DataFrame({'k': list('aba'), 'v': [1., 2., 3.]})\n"
            "c = make_column_transformer((OneHotEncoder(sparse_output=False), ['k']), "
            "(StandardScaler(), ['v'])).fit(d)\n"
            "e = c.transform(d).tolist()"
        ),
        (
            "c.transform(d).tolist() == e and c.get_feature_names_out().tolist() == "
            "['onehotencoder__k_a', 'onehotencoder__k_b', 'standardscaler__v']"
        ),
    ),
    "text-features": (
        (
            "from sklearn.feature_extraction.text import TfidfVectorizer\n"
            "t = ['a cat', 'a dog', 'the cat']\n"
            "v = TfidfVectorizer(tokenizer=str.split, token_pattern=None).fit(t); e = "
            "v.transform(t).toarray().tolist()"
        ),
        "v.transform(t).toarray().tolist() == e",
    ),
    "grid-search": (
        (
            "from sklearn.model_selection import GridSearchCV\n"
            "from sklearn.linear_model import Ridge\n"
            "g = GridSearchCV(Ridge(), {'alpha': [.1, 1.]}, cv=2).fit(X, z); e = g.best_params_"
        ),
        "g.best_params_ == e and g.predict(X).shape == (60,)",
    ),
    "model-goes-on-learning": (
        (
            "from sklearn.linear_model import SGDRegressor\n"
            "import copy\n"
            "m = SGDRegressor(random_state=rng).partial_fit(X, z)\n"
            "e = copy.deepcopy(m).partial_fit(X, z).coef_.tolist()"
        ),
        "copy.deepcopy(m).partial_fit(X, z).coef_.tolist() == e and m.random_state is rng",
    ),
    "figure-without-pyplot": (
        ("from matplotlib.figure import Figure\nf = Figure(); ax = f.add_subplot(); l, = ax.plot([1, 2])"),
        "f.axes[0] is ax and ax.lines[0] is l and l.figure is f",
    ),
}
LEARNED = {name: (_BEFORE + make, holds) for name, (make, holds) in _KINDS.items()}
