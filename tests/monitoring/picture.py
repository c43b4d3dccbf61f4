"""Draws the dashboard as Grafana would lay it out, from Prometheus's answers."""
import io
import json
import math

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot, ticker  # noqa: E402
from PIL import Image  # noqa: E402

from artefacts import DASHBOARD  # noqa: E402

# A unit of the dashboard's grid, in inches.
WIDE, HIGH = 0.75, 0.42
SCALES = {
    "percentunit": (100, "%"), "bytes": (1 / 1024 / 1024, " MiB"), "s": (1, " s"), "d": (1, " d"), "reqps": (1, "/s"), "cps": (1, "/s"),
}


def draw(drawn, file):
    """`drawn`: for each panel's title and row, its queries with their answers."""
    layout = json.loads(DASHBOARD.read_text())["panels"]
    height = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in layout)
    everything = [series for answers in drawn.values() for _, answer in answers for series in answer]
    moments = [float(moment) for series in everything for moment, _ in series["values"]]
    span = min(moments), max(moments)
    figure = pyplot.figure(figsize=(24 * WIDE, height * HIGH), facecolor="#f4f5f5")
    for panel in layout:
        place = panel["gridPos"]
        box = (place["x"] / 24, 1 - (place["y"] + place["h"]) / height, place["w"] / 24, place["h"] / height)
        if panel["type"] == "row":
            figure.text(box[0] + 0.006, box[1] + box[3] / 2, panel["title"], weight="bold", size=12, va="center")
            continue
        answers = [
            (legend(target, series["metric"]), series["values"])
            for target, answer in drawn[panel["title"], place["y"]]
            for series in answer
        ]
        unit = panel["fieldConfig"]["defaults"].get("unit", "short")
        scale = SCALES.get(unit, (1, ""))
        if panel["type"] == "stat":
            draw_figure(figure, box, panel["title"], answers, *scale)
        else:
            draw_lines(figure, box, panel["title"], answers, span, *scale)
    drawing = io.BytesIO()
    figure.savefig(drawing, dpi=70)
    pyplot.close(figure)
    # A few colours are enough, and a third of the size.
    Image.open(drawing).convert("RGB").quantize(48).save(file, optimize=True)


def legend(target, labels):
    text = target["legendFormat"]
    for name, value in labels.items():
        text = text.replace("{{" + name + "}}", value.removeprefix("inkpass.v1."))
    # Labels that a series has not are empty.
    while "{{" in text:
        text = text[:text.index("{{")] + text[text.index("}}") + 2:]
    return text.strip()


def draw_figure(figure, box, title, answers, scale, unit):
    frame = axes(figure, box, title, (0.01, 0.02, 0.98, 0.78))
    frame.set_xticks([])
    frame.set_yticks([])
    values = [float(value) for _, value in answers[-1][1] if not math.isnan(float(value))]
    frame.text(0.5, 0.5, f"{values[-1] * scale:.3g}{unit}", size=20, ha="center", va="center", transform=frame.transAxes)


def draw_lines(figure, box, title, answers, span, scale, unit):
    frame = axes(figure, box, title, (0.12, 0.33, 0.85, 0.52))
    begin, end = span
    for name, values in sorted(answers, key=highest, reverse=True):
        points = [(float(moment) - begin, float(value) * scale) for moment, value in values]
        frame.plot(*zip(*points), linewidth=1.2, label=name)
    frame.set_xlim(0, end - begin)
    frame.xaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g} s"))
    frame.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}{unit}"))
    frame.tick_params(labelsize=7)
    frame.grid(alpha=0.3)
    frame.set_ylim(bottom=min(0, frame.get_ylim()[0]))
    handles, names = frame.get_legend_handles_labels()
    if any(names):
        # As many columns as there is width for the longest name.
        names = [name if len(name) <= 48 else name[:46] + "…" for name in names]
        columns = max(1, min(4, int(box[2] * 24 * 9 / (max(map(len, names[:9])) + 7))))
        shown = columns * 4
        place = {"loc": "upper center", "bbox_to_anchor": (0.46, -0.13), "frameon": False}
        frame.legend(handles[:shown], names[:shown], fontsize=6, ncol=columns, **place)


def highest(answer):
    return max((float(value) for _, value in answer[1] if value != "NaN"), default=0)


def axes(figure, box, title, inner):
    x, y, width, height = box
    left, bottom, wide, high = inner
    margin = 0.003
    panel = figure.add_axes((x + margin, y + margin / 3, width - 2 * margin, height - margin), facecolor="white")
    panel.set_xticks([])
    panel.set_yticks([])
    for side in panel.spines.values():
        side.set_color("#d8d9da")
    panel.set_title(title, size=9, loc="left", pad=-11, x=0.012)
    frame = figure.add_axes((x + width * left, y + height * bottom, width * wide, height * high))
    if inner[1] < 0.1:
        frame.set_frame_on(False)
    return frame
