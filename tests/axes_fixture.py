"""Axes for the tests of figures, and what is written on them."""

from __future__ import annotations

from matplotlib.figure import Figure


def axes():
    """Axes of a figure of their own."""
    return Figure().subplots()


def drawn(function, table, text=None):
    """The axes after drawing; the canvas is drawn too, so that every label is made."""
    ax = axes()
    function(table, ax, text)
    ax.figure.canvas.draw()
    return ax


def ticks(axis) -> list[str]:
    """The labels of an axis' ticks."""
    axis.figure.canvas.draw()
    return [label.get_text() for label in axis.get_ticklabels()]


def legend(ax) -> list[str]:
    """The words of the legend."""
    return ax.get_legend_handles_labels()[1]
