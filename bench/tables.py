"""Cells and tables of Markdown."""

import statistics


def table(head, rows):
    lines = ["| " + " | ".join(map(str, head)) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows])


def spread(values, form):
    """The median, and the least and the most in brackets."""
    if not values:
        return "–"
    if len(values) == 1:
        return form(values[0])
    return f"{form(statistics.median(values))} ({form(min(values))}–{form(max(values))})"


def seconds(v):
    return f"{v:.2f}" if v >= 0.005 else "0"


def rate(v):
    return f"{v:.0f}" if v >= 100 else f"{v:.1f}"


def times(v):
    return f"{v:.2f}×"


def share(v):
    return f"{100 * v:.0f} %"


def gib(v):
    return f"{v / 2**30:.1f} GiB"
