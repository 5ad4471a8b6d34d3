"""Matplotlib: code that makes figures, and what is true where they are as they were."""

from __future__ import annotations

_BEFORE = (
    "import matplotlib\n"
    "matplotlib.use('Agg')\n"
    "import matplotlib.pyplot as plt, numpy as np, io\n"
    "def picture(f):\n"
    "    b = io.BytesIO(); f.savefig(b, format='rgba'); return b.getvalue()\n"
)

_KINDS: dict[str, tuple[str, str]] = {
    "figure": (
        (
            "f, ax = plt.subplots(); ax.plot([1, 2, 4], label='l'); ax.legend(); ax.set_title('t')\n"
            "e = hash(picture(f))"
        ),
        ("hash(picture(f)) == e and f.axes[0] is ax and ax.lines[0].get_ydata().tolist() == [1, 2, 4]"),
    ),
    "figure-of-many-kinds": (
        (
            "f, axs = plt.subplots(2, 3)\n"
            "axs[0, 0].hist([1, 2, 2]); axs[0, 1].imshow(np.eye(3)); axs[0, 2].scatter([1], [2])\n"
            "axs[1, 0].bar(['a', 'b'], [1, 2]); axs[1, 1].contourf(np.arange(9).reshape(3, 3)); "
            "axs[1, 2].set_xscale('log')\n"
            "f.colorbar(axs[0, 1].images[0]); e = hash(picture(f))"
        ),
        "hash(picture(f)) == e and f.axes[0] is axs[0, 0]",
    ),
    "plot-settings": (
        "plt.rcParams['lines.linewidth'] = 7.5",
        "plt.rcParams['lines.linewidth'] == 7.5",
    ),
    "color-map": (
        "c = plt.get_cmap('viridis'); n = matplotlib.colors.Normalize(0, 5)",
        "c(0.5) == plt.get_cmap('viridis')(0.5) and n(2.5) == .5",
    ),
}
PLOTS = {name: (_BEFORE + make, holds) for name, (make, holds) in _KINDS.items()}
