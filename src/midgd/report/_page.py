"""HTML of a page that needs nothing but itself. Whatever comes from a file goes through :func:`escaped`."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterable, Sequence
from typing import Any

from midgd._text import one_line

_STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 62rem; padding: 1rem 1.25rem 4rem; color: #1a1a1a; background: #fff;
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 1rem 0 .25rem; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .5rem; padding-top: .75rem; border-top: 1px solid #ccc; }
p, li { max-width: 46rem; }
nav ul { display: flex; flex-wrap: wrap; gap: .25rem 1rem; list-style: none; padding: 0; font-size: .9rem; }
a { color: #0a5c97; }
.under { color: #555; margin: 0; }
.notes { border-left: 4px solid #0072b2; background: #f0f6fa; padding: .5rem 1rem .5rem 2rem; margin: 1rem 0; }
.notes .warning { font-weight: 600; }
.wide { overflow-x: auto; margin: .75rem 0; }
table { border-collapse: collapse; font-size: .9rem; }
th, td { padding: .25rem .75rem .25rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid #e5e5e5;
  overflow-wrap: normal; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
th.number { white-space: normal; }
td:first-child { min-width: 7rem; }
@media (max-width: 40rem) { td, th { padding-right: .5rem; } table { font-size: .85rem; } }
td span { white-space: nowrap; margin-right: .75em; display: inline-block; }
figure { margin: 1rem 0; }
figure img { display: block; max-width: none; height: auto; }
figcaption { font-size: .9rem; color: #444; max-width: 46rem; }
@media print { nav { display: none; } .wide { overflow: visible; } figure img { max-width: 100%; } }
"""
# Nothing may be loaded and no script may run, whatever names and texts a file of results has.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_LONGEST = 120  # characters of a name from a file


def escaped(value: object, longest: int = _LONGEST) -> str:
    """A value as text of HTML: short, on one line, and harmless."""
    return html.escape(one_line(value, longest))


def page(title: str, under: str, sections: Sequence[tuple[str, str]]) -> str:
    """The whole page from its sections, (heading, HTML)."""
    links = "".join(f'<li><a href="#s{i}">{escaped(name)}</a></li>' for i, (name, _) in enumerate(sections))
    body = "".join(
        f'<section id="s{i}"><h2>{escaped(name)}</h2>{text}</section>' for i, (name, text) in enumerate(sections)
    )
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{escaped(title)}</title>'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="referrer" content="no-referrer">'
        f"<style>{_STYLE}</style></head><body><h1>{escaped(title)}</h1>"
        f'<p class="under">{escaped(under, 500)}</p><nav aria-label="Contents"><ul>{links}</ul></nav>'
        f"<main>{body}</main></body></html>\n"
    )


def paragraph(text: str) -> str:
    """A paragraph."""
    return f"<p>{escaped(text, 2_000)}</p>"


def notes(texts: Iterable[tuple[str, bool]]) -> str:
    """Sentences in a box; those that are warnings stand out."""
    items = "".join(
        f"<li{' class=warning' if is_warning else ''}>{escaped(text, 1_000)}</li>" for text, is_warning in texts
    )
    return f'<ul class="notes">{items}</ul>'


def listed(texts: Iterable[str]) -> str:
    """Sentences below each other."""
    return f"<ul>{''.join(f'<li>{escaped(text, 1_000)}</li>' for text in texts)}</ul>"


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table of names, the first column, and of what belongs to them; wide ones scroll by themselves.

    A tuple is several texts in one cell.
    """
    rows = [list(row) for row in rows]
    number = [False, *(_is_number(value) for value in (rows[0] if rows else columns)[1:])]

    def line(tag: str, values: Sequence[object]) -> str:
        cells = zip(values, number, strict=True)
        return "".join(f"<{tag}{' class=number' if n else ''}>{_shown(v)}</{tag}>" for v, n in cells)

    body = "".join(f"<tr>{line('td', row)}</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{line("th", columns)}</tr></thead><tbody>{body}</tbody></table></div>'


def figure(drawn: Any, alt: str, caption: str) -> str:
    """A figure of matplotlib as a PNG within the page, at its own size so that its texts stay legible."""
    buffer = io.BytesIO()
    drawn.savefig(buffer, format="png", dpi=200)
    width = round(drawn.get_figwidth() * 96)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    return (
        f'<figure><div class="wide"><img width="{width}" alt="{escaped(alt, 500)}" src="data:image/png;base64,{data}">'
        f"</div><figcaption>{escaped(caption, 1_000)}</figcaption></figure>"
    )


def percent(share: float) -> str:
    """A share as a percentage; small ones do not become 0."""
    return f"{100 * share:.0f} %" if share == 0 or share >= 0.005 else "< 0.5 %"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) or (isinstance(value, str) and value.rstrip(" %").replace(".", "").isdigit())


def _shown(value: object) -> str:
    if isinstance(value, float):
        return "not known" if value != value else f"{value:.2f}"
    if isinstance(value, tuple):
        return " ".join(f"<span>{escaped(item)}</span>" for item in value)
    return f"{value:,}" if isinstance(value, int) else escaped(value)
