# SPDX-License-Identifier: Apache-2.0
"""Bars and tables of what tests/bench/compare measured: text in, text out."""

from xml.sax.saxutils import escape

OURS, THEIRS = "#2b5c9e", "#b0b7c0"
LABEL, BAR, LINE, MARGIN, HEAD = 290, 420, 24, 20, 44
FONT = "DejaVu Sans, Helvetica, Arial, sans-serif"


def number(value):
    return f"{value:.2f}" if value < 10 else f"{value:.0f}" if value >= 100 else f"{value:.1f}"


def is_ours(name):
    return name.startswith("pullkey")


def bars(title, unit, groups):
    """An SVG of horizontal bars. `groups` are (heading, [(name, value)]); each has its own scale."""
    lines, y = [], HEAD
    for heading, rows in groups:
        if heading:
            y += LINE
            lines.append(f'<text x="{MARGIN}" y="{y}" font-weight="bold">{escape(heading)}</text>')
        most = max(value for _, value in rows)
        for name, value in rows:
            y += LINE
            width = max(1, round(BAR * value / most))
            colour = OURS if is_ours(name) else THEIRS
            lines.append(f'<text x="{LABEL - 8}" y="{y}" text-anchor="end">{escape(name)}</text>')
            lines.append(f'<rect x="{LABEL}" y="{y - 13}" width="{width}" height="16" fill="{colour}"/>')
            lines.append(f'<text x="{LABEL + width + 6}" y="{y}">{number(value)}</text>')
        y += LINE // 2
    width, height = LABEL + BAR + 80, y + MARGIN
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="{FONT}" font-size="13">',
        f"<title>{escape(title)}</title>",
        "<!-- SPDX-License-Identifier: Apache-2.0 -->",
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        f'<text x="{MARGIN}" y="28" font-size="15" font-weight="bold">{escape(title)}, {escape(unit)}</text>',
        *lines,
        "</svg>\n",
    ])


def table(head, rows):
    """Of Markdown, with numbers to the right."""
    align = ["---"] + ["---:"] * (len(head) - 1)
    cells = [[str(cell) for cell in row] for row in (head, align, *rows)]
    return "".join(f"| {' | '.join(row)} |\n" for row in cells)


def fill(text, name, content):
    """The page with a part of it replaced: what stands between two comments of that name."""
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->\n"
    before, found, rest = text.partition(begin)
    if not found or end not in rest:
        raise ValueError(f"the page has no place for {name}")
    return before + begin + "\n" + content + "\n" + end + rest.partition(end)[2]
