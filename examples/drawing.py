"""Curves for the examples, drawn with matplotlib (``pip install 'netower[plot]'``), which is imported only then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Points = Sequence[tuple[float, float]]


def draw(file: str, title: str, across: str, up: str, curves: Mapping[str, Points], *, log: bool = False) -> None:
    """Draw ``curves``, each a list of (x, y), into ``file``; its ending (.png, .svg, .pdf) says in which format."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot(title=title, xlabel=across, ylabel=up)
    for label, points in curves.items():
        axes.plot([x for x, _ in points], [y for _, y in points], label=label, marker="o" if log else None)
    if log:
        axes.set_xscale("log")
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(file)
    print(f"drawn into {file}")
