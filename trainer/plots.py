"""The report's pictures: PNG bytes, drawn once for a light page and once for a dark one."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from trainer.evaluate import Head

DPI = 160


@dataclass(frozen=True)
class Look:
    paper: str
    ink: str
    quiet: str
    line: str
    main: str
    other: str


LIGHT = Look(paper="#ffffff", ink="#1d2433", quiet="#667085", line="#e4e7ec", main="#3056d3", other="#c2410c")
DARK = Look(paper="#171c26", ink="#e6e9ef", quiet="#98a2b3", line="#2c3444", main="#7c9cff", other="#fb923c")


@dataclass(frozen=True)
class Picture:
    light: bytes
    dark: bytes


def draw(paint: Callable[[Axes, Look], None], *, width: float, height: float) -> Picture:
    """`paint` fills the axes of a figure of so many inches, in each of the two looks."""

    def png(look: Look) -> bytes:
        style: dict[Any, Any] = {
            "font.size": 9,
            "text.color": look.ink,
            "axes.labelcolor": look.quiet,
            "axes.edgecolor": look.line,
            "xtick.color": look.quiet,
            "ytick.color": look.quiet,
            "axes.facecolor": look.paper,
            "figure.facecolor": look.paper,
            "grid.color": look.line,
            "axes.spines.top": False,
            "axes.spines.right": False,
        }
        with mpl.rc_context(style):
            figure = Figure(figsize=(width, height), layout="constrained")
            FigureCanvasAgg(figure)
            paint(figure.add_subplot(), look)
            content = io.BytesIO()
            figure.savefig(content, format="png", dpi=DPI)
        return content.getvalue()

    return Picture(png(LIGHT), png(DARK))


def confusion_plot(head: Head) -> Picture:
    """Rows: the label; columns: what the model called it. Shade: share of the row."""
    counts = np.array(head.counts, dtype=float)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)

    def paint(axes: Axes, look: Look) -> None:
        shades = LinearSegmentedColormap.from_list("shades", [look.paper, look.main])
        axes.imshow(shares, cmap=shades, vmin=0, vmax=1)
        for label, row in enumerate(shares):
            for called, share in enumerate(row):
                colour = look.paper if share > 0.5 else look.ink
                text: Any = {"ha": "center", "va": "center", "color": colour}
                axes.text(called, label - 0.08, f"{share:.0%}", fontsize=11, fontweight="bold", **text)
                axes.text(called, label + 0.22, f"{counts[label, called]:,.0f}", fontsize=7.5, **text)
        places = range(len(head.labels))
        axes.set_xticks(places, head.labels)
        axes.set_yticks(places, head.labels, rotation=90, va="center")
        axes.set_xlabel("called")
        axes.set_ylabel("labelled")
        axes.tick_params(length=0)
        axes.set_xticks(np.arange(len(head.labels) - 1) + 0.5, minor=True)
        axes.set_yticks(np.arange(len(head.labels) - 1) + 0.5, minor=True)
        axes.grid(which="minor", color=look.paper, linewidth=2)
        axes.tick_params(which="minor", length=0)
        axes.spines[:].set_visible(False)

    return draw(paint, width=3.3, height=3.1)


def reliability_plot(head: Head) -> Picture:
    """How often the model is right against how sure it is; the area of a dot is the share of texts there.

    No line joins the dots: bins of few texts would draw mountains.
    """
    known = [each for each in head.bins if each.texts]
    total = sum(each.texts for each in known)

    def paint(axes: Axes, look: Look) -> None:
        axes.plot([0, 1], [0, 1], color=look.quiet, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
        sure, right = [each.confidence for each in known], [each.right for each in known]
        axes.vlines(sure, sure, right, color=look.other, linewidth=1.6, alpha=0.75, zorder=2)
        sizes = [14 + 260 * each.texts / total for each in known]
        axes.scatter(sure, right, s=sizes, color=look.main, edgecolor=look.paper, linewidth=0.8, zorder=4)
        anger = head.head == "anger"
        axes.set_xlim(-0.04 if anger else 0.28, 1.04)
        axes.set_ylim(-0.04, 1.04)
        axes.set_xlabel("probability of anger" if anger else "confidence")
        axes.set_ylabel("share labelled angry" if anger else "share right")
        axes.grid(linewidth=0.7)
        axes.set_axisbelow(True)

    return draw(paint, width=3.3, height=3.1)


def curves_plot(lines: Sequence[dict[str, float]]) -> Picture:
    """Training loss (each step and smoothed), and held-back loss where it was taken."""
    trained = [(line["step"], line["loss"]) for line in lines if "loss" in line]
    held = [(line["step"], line["held_loss"]) for line in lines if "held_loss" in line]

    def paint(axes: Axes, look: Look) -> None:
        if trained:
            steps, losses = np.array(trained).T
            axes.plot(steps, losses, color=look.main, alpha=0.22, linewidth=0.7)
            axes.plot(steps, smoothed(losses), color=look.main, linewidth=1.8, label="training (smoothed)")
            lower, upper = np.quantile(losses, (0.0, 0.995))
            axes.set_ylim(max(0.0, lower - 0.05), upper + 0.05)
        if held:
            steps, losses = np.array(held).T
            axes.plot(steps, losses, color=look.other, marker="o", markersize=3.5, linewidth=1.4, label="held back")
        axes.set_xlabel("step")
        axes.set_ylabel("loss")
        axes.grid(axis="y", linewidth=0.7)
        if trained or held:
            axes.legend(frameon=False, labelcolor=look.ink)

    return draw(paint, width=7.6, height=2.9)


def smoothed(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> list[float]:
    """Exponential mean over a fortieth of the run or five steps, corrected at its beginning."""
    keep = 1 - 1 / max(5.0, len(values) / 40)
    total, found = 0.0, []
    for step, value in enumerate(values, 1):
        total = keep * total + (1 - keep) * float(value)
        found.append(total / (1 - keep**step))
    return found
