"""Curves as SVG: one small chart for each operation, with a line for each database.

It needs no library and no script. Colours follow the reader's light or dark mode; lines differ by
their dashes too, and each ends with its value.
"""

import math
from collections.abc import Mapping, Sequence
from html import escape

# By operation and database: rows and milliseconds.
Curves = Mapping[str, Mapping[str, Sequence[tuple[int, float]]]]
COLUMNS, WIDTH, HEIGHT = 3, 260, 150
LEFT, RIGHT, TOP, BOTTOM = 14, 58, 40, 26
HEAD, GAP = 40, 12
CLASSES = ("one", "two")
ATTRIBUTES = 'xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="title description"'
STYLE = """
  svg { color-scheme: light dark; background: #ffffff; }
  text { font: 11px system-ui, sans-serif; fill: #1f2328; }
  .name { font-weight: 600; font-size: 12px; }
  .quiet { fill: #59636e; }
  .axis { stroke: #d1d9e0; stroke-width: 1; fill: none; }
  .line { stroke-width: 2; fill: none; }
  .one { stroke: #0550ae; } .two { stroke: #a33b00; stroke-dasharray: 5 3; }
  text.one { fill: #0550ae; stroke: none; } text.two { fill: #a33b00; stroke: none; }
  @media (prefers-color-scheme: dark) {
    svg { background: #0d1117; }
    text { fill: #f0f6fc; } .quiet { fill: #a8b1bb; } .axis { stroke: #3d444d; }
    .one { stroke: #79b8ff; } .two { stroke: #ffab70; }
    text.one { fill: #79b8ff; } text.two { fill: #ffab70; }
  }
"""


def draw(curves: Curves, title: str, description: str) -> str:
    """The document. All charts have the same axis of rows, and their own of milliseconds from 0."""
    databases = list(dict.fromkeys(name for lines in curves.values() for name in lines))
    every = sorted(
        {rows for lines in curves.values() for line in lines.values() for rows, _ in line}
    )
    down = math.ceil(len(curves) / COLUMNS)
    width, height = COLUMNS * (WIDTH + GAP) + GAP, HEAD + down * (HEIGHT + GAP)
    parts = [
        f'<svg {ATTRIBUTES} viewBox="0 0 {width} {height}" width="{width}" height="{height}">',
        f'<title id="title">{escape(title)}</title>',
        f'<desc id="description">{escape(description)}</desc>',
        f"<style>{STYLE}</style>",
        _legend(databases),
    ]
    for place, (operation, lines) in enumerate(curves.items()):
        x = GAP + place % COLUMNS * (WIDTH + GAP)
        y = HEAD + place // COLUMNS * (HEIGHT + GAP)
        parts.append(f'<g transform="translate({x} {y})">')
        parts += _chart(
            operation, {name: lines[name] for name in databases if name in lines}, every
        )
        parts.append("</g>")
    return "\n".join([*parts, "</svg>", ""])


def _legend(databases: Sequence[str]) -> str:
    parts = []
    for place, (name, kind) in enumerate(zip(databases, CLASSES, strict=False)):
        x = GAP + LEFT + place * 130
        parts.append(f'<path class="line {kind}" d="M{x} 20h28"/>')
        parts.append(f'<text class="{kind}" x="{x + 34}" y="24">{escape(name)}</text>')
    return "\n".join(parts)


def _chart(
    operation: str, lines: Mapping[str, Sequence[tuple[int, float]]], every: Sequence[int]
) -> list[str]:
    most = max(value for line in lines.values() for _rows, value in line)
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT

    def x_of(rows: int) -> float:
        if len(every) == 1:
            return LEFT
        share = math.log(rows / every[0]) / math.log(every[-1] / every[0])
        return round(LEFT + share * (right - LEFT), 1)

    def y_of(value: float) -> float:
        return round(bottom - value / most * (bottom - TOP), 1)

    parts = [
        f'<text class="name" x="{LEFT}" y="14">{escape(operation)}</text>',
        f'<path class="axis" d="M{LEFT} {TOP}V{bottom}H{right}"/>',
        f'<text class="quiet" x="{LEFT}" y="{TOP - 8}">{_number(most)} ms</text>',
    ]
    for place, rows in enumerate(every):
        anchor = "start" if place == 0 else "end" if rows == every[-1] else "middle"
        parts.append(
            f'<text class="quiet" x="{x_of(rows)}" y="{bottom + 15}" text-anchor="{anchor}">'
            f"{short(rows)}</text>"
        )
    last: list[float] = []
    for (_name, line), kind in zip(lines.items(), CLASSES, strict=False):
        points = " ".join(f"{x_of(rows)},{y_of(value)}" for rows, value in line)
        parts.append(f'<polyline class="line {kind}" points="{points}"/>')
        y = y_of(line[-1][1]) + 4
        # Two values at one height would be printed over each other.
        if last and abs(y - last[-1]) < 13:
            y = last[-1] + 13 if y >= last[-1] and last[-1] + 13 < bottom + 6 else last[-1] - 13
        last.append(y)
        parts.append(
            f'<text class="{kind}" x="{x_of(line[-1][0]) + 5}" y="{y}">'
            f"{_number(line[-1][1])} ms</text>"
        )
    return parts


def short(rows: int) -> str:
    """100 k, 1 M."""
    return f"{rows / 1_000_000:g} M" if rows >= 1_000_000 else f"{rows / 1000:g} k"


def _number(value: float) -> str:
    """Three significant digits."""
    return f"{value:.3f}" if value < 1 else f"{value:.3g}" if value < 1000 else f"{value:,.0f}"
