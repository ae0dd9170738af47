"""Draws a curve or clouds of dots as an SVG that is legible on light and on dark pages."""

import html
import math

WIDTH, HEIGHT = 640, 400
LEFT, RIGHT, TOP, BOTTOM = 70, 24, 44, 56
STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #1f2328 }
  .title { font-size: 15px; font-weight: 600 }
  .name { paint-order: stroke; stroke: #ffffff; stroke-width: 5px }
  .paper { fill: #ffffff }
  .grid { stroke: #d0d7de }
  .curve { stroke: #0969da; stroke-width: 2; fill: none }
  .dot { fill: #0969da }
  .line { stroke: #bc4c00; stroke-width: 1.5; stroke-dasharray: 6 4; fill: none }
  .key { fill: #bc4c00 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .name { stroke: #0d1117 }
    .paper { fill: #0d1117 }
    .grid { stroke: #30363d }
    .curve { stroke: #58a6ff }
    .dot { fill: #58a6ff }
    .line { stroke: #f0883e }
    .key { fill: #f0883e }
  }
"""


def axis(values, begin, end):
    """The places of numbers between `begin` and `end`, with a little room beyond the outermost."""
    low, high = math.log(min(values)), math.log(max(values))
    room = 0.06 * (high - low) or 0.5
    scale = (end - begin) / (high - low + 2 * room)
    return lambda value: begin + (math.log(value) - low + room) * scale


def round_numbers(low, high):
    """A few round numbers, from the last below `low` to the first above `high`."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    digits = (1, 2, 5) if high > 10 * low else (1, 1.5, 2, 3, 4, 5, 7)
    numbers = [digit * 10.0**power for power in range(first, last + 1) for digit in digits]
    below, above = max(n for n in numbers if n <= low), min(n for n in numbers if n >= high)
    return [number for number in numbers if below <= number <= above]


def svg(title, x_label, y_label, points, line, line_label):
    """`points` are (x, y, deviation of y); `line` gives y for x and is what is compared with."""
    xs = [x for x, _, _ in points]
    compared = [(x, line(x)) for x in xs]
    ys = [y for _, y, _ in points] + [y for _, y in compared]
    ticks = round_numbers(min(ys), max(ys))
    across = axis(xs, LEFT, WIDTH - RIGHT)
    up = axis(ticks, HEIGHT - BOTTOM, TOP)
    parts = [text(LEFT, 26, "start", title, "title")]
    for y in ticks:
        parts.append(stroke("grid", LEFT, up(y), WIDTH - RIGHT, up(y)))
        parts.append(text(LEFT - 8, up(y) + 4, "end", f"{y:,.10g}"))
    for x in xs:
        parts.append(stroke("grid", across(x), TOP, across(x), HEIGHT - BOTTOM))
        parts.append(text(across(x), HEIGHT - BOTTOM + 18, "middle", f"{x:,}"))
    parts += labels(x_label, y_label)
    corners = lambda pairs: " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in pairs)
    parts.append(f'<polyline class="line" points="{corners(compared)}"/>')
    parts.append(text(WIDTH - RIGHT, 26, "end", f"dashed: {line_label}", "key"))
    parts.append(f'<polyline class="curve" points="{corners((x, y) for x, y, _ in points)}"/>')
    for x, y, deviation in points:
        parts.append(stroke("curve", across(x), up(max(y - deviation, y / 2)), across(x), up(y + deviation)))
        parts.append(f'<circle class="dot" cx="{across(x):.1f}" cy="{up(y):.1f}" r="4"/>')
    return page(title, parts)


def cloud(title, x_label, y_label, groups, marks):
    """`groups` are (label, [(x, y), …]); x is on a logarithmic axis, y in percent on a linear one, with lines at
    `marks`."""
    dots = [dot for _, group in groups for dot in group]
    xs = [x for x, _ in dots]
    low, high = min(min(y for _, y in dots), *marks), max(max(y for _, y in dots), *marks)
    across = axis(xs, LEFT, WIDTH - RIGHT)
    up = lambda y: HEIGHT - BOTTOM - (y - low + 0.2) / (high - low + 0.25) * (HEIGHT - BOTTOM - TOP)
    parts = [text(LEFT, 26, "start", title, "title")]
    for x in round_numbers(min(xs), max(xs)):
        if LEFT <= across(x) <= WIDTH - RIGHT:
            parts.append(stroke("grid", across(x), TOP, across(x), HEIGHT - BOTTOM))
            parts.append(text(across(x), HEIGHT - BOTTOM + 18, "middle", f"{x:,.10g}"))
    for y in range(math.ceil(low), math.floor(high) + 1):
        if y not in marks:
            parts.append(stroke("grid", LEFT, up(y), WIDTH - RIGHT, up(y)))
            parts.append(text(LEFT - 8, up(y) + 4, "end", f"{y} %"))
    for y in marks:
        parts.append(stroke("line", LEFT, up(y), WIDTH - RIGHT, up(y)))
        parts.append(text(LEFT - 8, up(y) + 4, "end", f"{y:g} %"))
    parts += labels(x_label, y_label)
    for label, group in groups:
        parts += [f'<circle class="dot" cx="{across(x):.1f}" cy="{up(y):.1f}" r="3" opacity="0.5"/>' for x, y in group]
        x, y = group[len(group) // 2][0], min(y for _, y in group)
        parts.append(text(across(x), up(y) + 20, "middle", label, "name"))
    return page(title, parts)


def text(x, y, anchor, content, kind=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}">{html.escape(content)}</text>'


def stroke(kind, x1, y1, x2, y2):
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def labels(x_label, y_label):
    """The labels of the two axes."""
    middle = (TOP + HEIGHT - BOTTOM) / 2
    return [
        text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 14, "middle", x_label),
        f'<g transform="rotate(-90 18 {middle})">{text(18, middle, "middle", y_label)}</g>',
    ]


def page(title, parts):
    """The picture that consists of `parts`."""
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
        f'height="{HEIGHT}" role="img" aria-label="{html.escape(title)}">\n<style>{STYLE}</style>\n'
        f'<rect class="paper" width="{WIDTH}" height="{HEIGHT}"/>\n{body}\n</svg>\n'
    )
