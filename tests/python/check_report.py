"""Checks a report: its tags are balanced, its figures lie inside their frame, and no label covers another.

usage: python check_report.py report.html
"""
import sys
from html.parser import HTMLParser

VOID = {"meta", "br"}
LONE = {"line", "rect", "circle", "polyline", "path"}


class Page(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.figures, self.text = [], [], None

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag == "svg":
            self.figures.append({"size": [float(v) for v in attributes["viewbox"].split()[2:]], "labels": [], "marks": []})
        elif tag == "text":
            self.text = {**attributes, "words": ""}
        elif tag in LONE:
            self.figures[-1]["marks"].append((tag, attributes))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        self.open.pop()

    def handle_data(self, data):
        if self.text is not None:
            self.text["words"] += data

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}, line {self.getpos()[0]}"
        self.open.pop()
        if tag == "text":
            self.figures[-1]["labels"].append(self.text)
            self.text = None


def box(label):
    """Of a label, by an estimate of its letters' width: left, top, right, bottom."""
    size = 10.0 if label["class"] == "tick" else 11.0
    width = 0.58 * size * len(label["words"])
    x, y = float(label["x"]), float(label["y"])
    left = {"start": x, "middle": x - width / 2, "end": x - width}[label["text-anchor"]]
    return left, y - 0.75 * size, left + width, y + 0.1 * size


def inside(figure, left, top, right, bottom, what):
    width, height = figure["size"]
    assert left >= -0.5 and top >= -0.5 and right <= width + 0.5 and bottom <= height + 0.5, (what, figure["size"])


page = Page()
page.feed(open(sys.argv[1], encoding="utf-8").read())
page.close()
assert not page.open, page.open
assert page.figures
for figure in page.figures:
    for tag, a in figure["marks"]:
        if tag == "rect":
            x, y, w, h = (float(a[k]) for k in ("x", "y", "width", "height"))
            assert w >= 0 and h >= 0, a
            inside(figure, x, y, x + w, y + h, a)
        elif tag == "line":
            x, y = sorted([float(a["x1"]), float(a["x2"])]), sorted([float(a["y1"]), float(a["y2"])])
            inside(figure, x[0], y[0], x[1], y[1], a)
        elif tag == "circle":
            x, y, r = (float(a[k]) for k in ("cx", "cy", "r"))
            inside(figure, x - r, y - r, x + r, y + r, a)
        elif tag == "path":
            # Squares: M x y h edge v edge h -edge z.
            for square in a["d"].split("z")[:-1]:
                start, across = square.removeprefix("M").split("h")[:2]
                (x, y), edge = (float(v) for v in start.split()), float(across.split("v")[0])
                inside(figure, x, y, x + edge, y + edge, square)
        else:
            for point in a["points"].split():
                x, y = (float(v) for v in point.split(","))
                inside(figure, x, y, x, y, a)
    boxes = [(box(label), label["words"]) for label in figure["labels"]]
    for i, (a, words) in enumerate(boxes):
        inside(figure, *a, words)
        for b, other in boxes[:i]:
            apart = a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
            assert apart, f"{words!r} at {a} covers {other!r} at {b}"
    # Beside horizontal bars values stand right of all of them, names left of them.
    bars = [float(a["x"]) for tag, a in figure["marks"] if tag == "rect"]
    names = [b for (b, _), label in zip(boxes, figure["labels"]) if label["class"] == "" and label["text-anchor"] == "end"]
    assert not names or not bars or max(b[2] for b in names) <= min(bars) + 0.5, figure
