"""HTML and SVG from Python values: whatever is not already markup is escaped, so that no caller can forget to."""

import html
import unicodedata
from collections.abc import Iterable

_EMPTY = frozenset(("br", "circle", "line", "link", "meta", "path", "rect"))
_BIDI = frozenset("\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_LONGEST_ATTRIBUTE = 1 << 20  # a path through thousands of points, which a shorter limit would cut off
NO_BREAK = "\u00a0"


class Markup(str):
    """Text that is HTML already. Only this module and the page's own constants make it from a plain string."""

    __slots__ = ()


def clean(text: object, limit: int = 2000) -> str:
    """Text that is safe to show in a page or a terminal: one line, at most `limit` characters.

    Control characters, lone surrogates and characters that turn the direction of writing become U+FFFD, because
    names and errors come from other people's files and could otherwise drive a terminal or disguise themselves.
    """
    shown = "".join(_seen(c) for c in str(text)[: limit + 1])
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def escape(value: object, limit: int = 2000) -> Markup:
    """Markup stays as it is; anything else is cleaned and escaped."""
    return value if isinstance(value, Markup) else Markup(html.escape(clean(value, limit), quote=True))


def join(parts: Iterable[object], between: str = "") -> Markup:
    return Markup(escape(between).join(escape(p) for p in parts))


def element(tag: str, *children: object, **attributes: object) -> Markup:
    """`<tag name="value">children</tag>`; `class_` is class, an underscore is a dash, None leaves an attribute out."""
    opening = tag + "".join(f' {_name(k)}="{_value(v)}"' for k, v in attributes.items() if v is not None)
    if tag in _EMPTY and not children:
        return Markup(f"<{opening}/>")
    return Markup(f"<{opening}>{join(children)}</{tag}>")


def short(number: float) -> str:
    """A coordinate with at most one decimal: finer than a pixel, and small on disk."""
    text = f"{number:.1f}"
    return text.removesuffix(".0").replace("-0", "0") if text in ("-0.0", "0.0") else text.removesuffix(".0")


def _seen(c: str) -> str:
    if c.isspace():
        return c if c == NO_BREAK else " "
    return "\ufffd" if c in _BIDI or unicodedata.category(c) in ("Cc", "Cs") else c


def _name(key: str) -> str:
    return key.rstrip("_").replace("_", "-")


def _value(value: object) -> str:
    return short(value) if isinstance(value, float) else escape(value, _LONGEST_ATTRIBUTE)
