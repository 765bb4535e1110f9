"""What the pages of every method share: HTML of tables and pictures, and where a run came from."""

from __future__ import annotations

import base64
import html
import io
import json
from pathlib import Path

import libraries  # noqa: F401  (first: says which Python has them)
import figures  # noqa: F401  (chooses the Agg backend before pyplot)
import matplotlib.pyplot as plt
import pandas as pd

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1a1a1a; max-width: 1080px; margin: 2em auto; padding: 0 1em; }
h1 { font-size: 1.6em; margin-bottom: .2em; } h2 { font-size: 1.2em; margin-top: 2em; }
table { border-collapse: collapse; font-size: .88em; margin: .6em 0; width: auto; }
th, td { text-align: left; vertical-align: top; padding: .3em .7em; border-bottom: 1px solid #ddd; }
th { background: #f4f4f4; } td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.text { white-space: pre-wrap; overflow-wrap: anywhere; min-width: 5em; max-width: 24em; }
.note { color: #555; font-size: .88em; } img { max-width: 100%; margin: .4em 0 1.2em; }
.wide { overflow-x: auto; }
.mark { display: inline-block; padding: 0 .5em; border-radius: .3em; font-weight: 600; white-space: nowrap; }
.good { background: #d6efe6; color: #00563f; } .bad { background: #fae0d3; color: #8a3400; }
.open { background: #fdf0cf; color: #6b4a00; } .none { background: #ececec; color: #444; }
td.weak { color: #8a8a8a; }
"""

MARKS = {"pass": "good", "yes": "good", "fail": "bad", "no": "bad", "inconclusive": "open", "partial": "open",
         "not reached": "none", "no evidence": "none"}


class Number(str):
    """A cell that is set to the right."""


class Weak(Number):
    """A number that says little: grey."""


class Text(str):
    """A cell that keeps its line breaks."""


class Mark(str):
    """A cell with a coloured word."""


def cell(value: object) -> str:
    text = html.escape(str(value))
    if isinstance(value, Mark):
        return f'<td><span class="mark {MARKS.get(value, "none")}">{text}</span></td>'
    kind = {Number: ' class="number"', Weak: ' class="number weak"', Text: ' class="text"'}.get(type(value), "")
    return f"<td{kind}>{text}</td>"


def html_table(head: list[str], rows: list[list[object]]) -> str:
    parts = ['<div class="wide"><table><tr>', *(f"<th>{html.escape(name)}</th>" for name in head), "</tr>"]
    for row in rows:
        parts.append("<tr>" + "".join(cell(value) for value in row) + "</tr>")
    return "".join(parts) + "</table></div>"


def number(value: float, digits: int = 3) -> Number:
    return Number("–" if pd.isna(value) else f"{value:.{digits}g}")


def percent(value: float) -> str:
    return "–" if pd.isna(value) else f"{100 * value:.0f} %"


def find_key(tree: object, key: str) -> object:
    """The last value under `key` anywhere in a tree of JSON, or None."""
    found = None
    if isinstance(tree, dict):
        for name, value in tree.items():
            inner = value if name == key else find_key(value, key)
            found = found if inner is None else inner
    elif isinstance(tree, list):
        for value in tree:
            inner = find_key(value, key)
            found = found if inner is None else inner
    return found


def hosts(provenance: dict) -> str:
    ranks = find_key(provenance, "ranks")
    if not isinstance(ranks, list):
        return ""
    seen: dict[str, int] = {}
    for entry in ranks:
        if isinstance(entry, dict):
            name = ", ".join(str(entry[key]) for key in ("host", "device") if entry.get(key))
            seen[name] = seen.get(name, 0) + 1
    return "; ".join(f"{name} ({count} rank{'s' if count > 1 else ''})" for name, count in seen.items())


def identity_of(provenance: dict) -> str:
    """Hash over config and inputs; the figures carry its first 12 digits."""
    return str(provenance.get("identity") or "unknown")


def picture(figure: plt.Figure) -> bytes:
    buffer = io.BytesIO()
    # Without the version of matplotlib: the same run gives the same bytes.
    figure.savefig(buffer, format="png", metadata={"Software": None})
    plt.close(figure)
    return buffer.getvalue()


def section(title: str, *parts: str) -> str:
    return f"<h2>{html.escape(title)}</h2>" + "".join(parts)


def note_html(text: str) -> str:
    return f'<p class="note">{html.escape(text)}</p>'


def figures_html(made: dict[str, tuple[plt.Figure, str]], folder: Path) -> str:
    """Writes each figure as PNG and gives them as HTML with the pictures inside."""
    parts = []
    for name, (figure, caption) in made.items():
        data = picture(figure)
        (folder / f"{name}.png").write_bytes(data)
        encoded = base64.b64encode(data).decode()
        parts.append(f'<figure style="margin:0"><img alt="{name.replace("_", " ")}"'
                     f' src="data:image/png;base64,{encoded}"><figcaption class="note">{html.escape(caption)}'
                     "</figcaption></figure>")
    return "".join(parts)


def write_page(title: str, body: list[str], folder: Path) -> Path:
    page = (f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>'
            f'<style>{STYLE}</style><body>{"".join(body)}</body></html>')
    target = folder / "report.html"
    # A lone surrogate cannot be UTF-8; tables.unescape leaves none, a config from elsewhere might.
    target.write_text(page, encoding="utf-8", errors="replace")
    return target


def quarantine_section(frame) -> list[str]:
    """The units that are missing in every table and rate; nothing where there are none."""
    if frame.empty:
        return []
    rows = [[Text(row.id), Text(row.stage), Text(json.dumps(row.key)), Text(row.reason)] for row in frame.itertuples()]
    return [section("In quarantine", html_table(["unit", "stage", "key", "why"], rows), note_html(
        f"{len(rows)} units ended their rank too often and are missing in every table and rate above."
        " preimage release DIR gives them another chance at the next --resume."))]
