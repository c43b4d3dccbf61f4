#!/usr/bin/env python3
"""picture.py RESULTS SVG: draws what `run --results RESULTS` measured: throughput, latency and CPU time, beside the floor."""
import json
import sys

WIDTH, BAR, GAP, LEFT = 720, 16, 22, 190
COLOURS = {"floor": "#9aa5b1", "inkpass": "#2f6f9f"}
NAMES = {"plaintext": "plaintext", "half_load": "half of that load", "tls": "TLS", "mtls": "mutual TLS", "jwt": "JWT (ES256)",
         "pipe": "audit to a pipe", "dead_upstream": "a dead upstream"}
FIGURES = [("rate", "calls a second"), ("cpu_us", "CPU time of a call, µs"), ("p50_ms", "latency, median, ms"),
           ("p99_ms", "latency, 99th percentile, ms")]


def chart(results, figure, title, top):
    """Bars of one figure in every scenario; gives the lines and the height."""
    rows = [(name, results[name]) for name in NAMES if name in results]
    most = max(row[server][figure] for _, row in rows for server in COLOURS)
    lines = [f'<text x="0" y="{top + 14}" font-weight="bold">{title}</text>']
    y = top + 24
    for name, row in rows:
        lines.append(f'<text x="{LEFT - 8}" y="{y + BAR + 4}" text-anchor="end">{NAMES[name]}</text>')
        for server, colour in COLOURS.items():
            value = row[server][figure]
            width = (WIDTH - LEFT - 90) * value / most
            lines.append(f'<rect x="{LEFT}" y="{y}" width="{width:.1f}" height="{BAR - 2}" fill="{colour}"/>')
            lines.append(f'<text x="{LEFT + width + 6:.1f}" y="{y + 11}" font-size="11">{value:,g}</text>')
            y += BAR
        y += GAP - BAR
    return lines, y + 10


def main(results, picture):
    with open(results) as file:
        results = json.load(file)
    lines, y = [], 40
    for index, (server, colour) in enumerate(COLOURS.items()):
        lines.append(f'<rect x="{LEFT + 110 * index}" y="6" width="12" height="12" fill="{colour}"/>')
        lines.append(f'<text x="{LEFT + 110 * index + 18}" y="16">{server}</text>')
    for figure, title in FIGURES:
        more, y = chart(results, figure, title, y)
        lines += more
    style = 'font-family="sans-serif" font-size="12" fill="#20262c"'
    text = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" {style}>',
            f'<rect width="{WIDTH}" height="{y}" fill="#ffffff"/>', *lines, "</svg>"]
    with open(picture, "w") as file:
        file.write("\n".join(text) + "\n")


main(*sys.argv[1:])
