"""What is in a page: told by its bytes, not by what the server declares; its text without menus and scripts.

Runs inside a worker process (`core.inside`): what it reads is hostile, and large pages are slow and hungry.
"""

import base64
import codecs
import re
from contextlib import suppress
from encodings import normalize_encoding
from encodings.aliases import aliases
from typing import Any

from charset_normalizer import from_bytes
from trafilatura import extract, html2txt, load_html

from langgraph_ratchet.core.inside import Service

_MEMORY_BYTES = 1 << 30
_START_CHARS = 1_500
_MOST_CONTROLS = 0.02
"""Share of control characters in the start of a text; there is a stray one in many a real page."""
_DETECTION_BYTES = 50_000

_SIGNATURES = (
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"RIFF", "an image, a sound or a film"),
    (b"PK\x03\x04", "a ZIP archive or an office document"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"OggS", "a sound or a film"),
    (b"ID3", "a sound"),
    (b"\xd0\xcf\x11\xe0", "an office document"),
)
_PDF_WITHIN = 1024
"""A PDF may have something before its signature."""
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Those of the Encoding Standard, by Python's names. Python knows others that are no encodings of text, or slow.
_BEFORE_UTF_8 = ("iso2022_jp",)
"""Declared, it is tried before UTF-8: its bytes are those of ASCII."""
_AFTER_UTF_8 = tuple(
    "cp1252 cp1250 cp1251 cp1253 cp1254 cp1255 cp1256 cp1257 cp1258 cp866 cp874 koi8_r koi8_u mac_roman mac_cyrillic "
    "iso8859_2 iso8859_3 iso8859_4 iso8859_5 iso8859_6 iso8859_7 iso8859_8 iso8859_10 iso8859_13 iso8859_14 "
    "iso8859_15 iso8859_16 gbk gb18030 big5hkscs euc_jp cp932 cp949 utf_16_le utf_16_be".split()
)
"""Many pages in UTF-8 are declared as one of these, and nearly nothing in these can be read as UTF-8."""
_GUESSED = [name for name in (*_BEFORE_UTF_8, *_AFTER_UTF_8) if not name.startswith("utf")]
"""Anything can be read as UTF-16."""
_AS_BROWSERS_READ = {
    "ascii": "cp1252",
    "latin_1": "cp1252",
    "iso8859_1": "cp1252",
    "iso8859_9": "cp1254",
    "iso8859_11": "cp874",
    "gb2312": "gbk",
    "big5": "big5hkscs",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "utf_16": "utf_16_le",
}

_CONTROL = re.compile("[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\ufffd]")
_CHARSET = re.compile(r"""charset\s*=\s*["']?\s*([\w.:-]{1,40})""", re.IGNORECASE)
_XML_ENCODING = re.compile(r"""<\?xml[^>]{1,100}encoding\s*=\s*["']([\w.:-]{1,40})""", re.IGNORECASE)
_PROLOGUE = re.compile(r"(?:\s+|<\?[^>]*>|<!--.{0,5000}?-->)*", re.DOTALL)
_HTML = re.compile(r"<(?:!doctype\s+html|(?:html|head|title|meta|script|style|body|div|p|h1|table|a|br)\b)", re.I)
_SVG = re.compile(r"(?:<!doctype\s+svg[^>]*>\s*)?<(?:\w+:)?svg\b", re.I)


class _NoTextError(Exception):
    """There is no text to be had; the message says what there is instead."""


def service(timeout_s: float) -> Service:
    """Reads pages. A request is `{"body": base64, "type": declared}`.

    A reply is `{"title": ..., "text": ...}`, or `{"refused": what it is instead of a page}`.
    """
    # Whatever it imports or reads when it is first used must be there before the worker gives up its rights.
    filler = "<p>" + "Some words of a sentence, which is long enough. " * 20 + "</p>"
    for html in (f"<html><body><article>{filler}</article></body></html>", "<html><body><a>b</a></body></html>"):
        read(html.encode(), "text/html")
    for name in {*aliases.values(), *_BEFORE_UTF_8, *_AFTER_UTF_8}:
        with suppress(LookupError):  # some are of other systems
            codecs.lookup(name)
    from_bytes("Größe, naïveté".encode("cp1252")).best()
    return Service(answer=_answer, who="a page", timeout_s=timeout_s, memory_bytes=_MEMORY_BYTES)


def _answer(request: dict[str, Any]) -> dict[str, str]:
    try:
        title, text = read(base64.b64decode(request["body"]), request["type"])
    except _NoTextError as error:
        return {"refused": str(error)}
    except (MemoryError, RecursionError, ValueError, PermissionError) as error:
        return {"refused": f"a page that cannot be read ({type(error).__name__})"}
    return {"title": title, "text": text}


def read(body: bytes, declared: str) -> tuple[str, str]:
    """Title and text of a page.

    Args:
        body: the bytes that were sent.
        declared: the content type that was declared; believed only where the bytes do not show what they are.
    """
    _refuse_signatures(body)
    text = _decoded(body, declared)
    start = _PROLOGUE.sub("", text[: 10 * _START_CHARS], count=1)
    kind = declared.partition(";")[0].strip().lower()
    if _SVG.match(start):
        raise _NoTextError("an SVG image")
    if not text.strip():
        raise _NoTextError("an empty page")
    if _HTML.match(start) or (kind in ("text/html", "application/xhtml+xml") and "<" in text):
        return _extracted(text)
    return "", text.strip()


def _refuse_signatures(body: bytes) -> None:
    for signature, name in _SIGNATURES:
        if body.startswith(signature):
            raise _NoTextError(name)
    if b"%PDF-" in body[:_PDF_WITHIN]:
        raise _NoTextError("a PDF")


def _decoded(body: bytes, declared: str) -> str:
    """The body as text: by its mark, by what it declares if that fits, or by what it looks like."""
    for mark, encoding in _BYTE_ORDER_MARKS:
        if body.startswith(mark):
            return body[len(mark) :].decode(encoding, "replace")
    head = body[:2048].decode("latin-1")
    labels = [
        found[1] for found in (_CHARSET.search(declared), _CHARSET.search(head), _XML_ENCODING.search(head)) if found
    ]
    named = [_encoding(label) for label in labels]
    before, after = ([name for name in named if name in group] for group in (_BEFORE_UTF_8, _AFTER_UTF_8))
    for encoding in (*before, "utf_8", *after):
        text = _strictly(body, encoding)
        if text is not None and _is_text(text):
            return text
    best = from_bytes(body[:_DETECTION_BYTES], cp_isolation=_GUESSED).best()
    text = body.decode(best.encoding if best else "cp1252", "replace")
    if not _is_text(text):
        raise _NoTextError("binary data")
    return text


def _encoding(label: str) -> str:
    """Python's name of the encoding that a page calls `label`."""
    # Not `codecs.lookup`: it would import a module that a page names.
    normal = normalize_encoding(label.lower())
    name = aliases.get(normal, normal)
    return _AS_BROWSERS_READ.get(name, name)


def _strictly(body: bytes, encoding: str) -> str | None:
    """The body, if it is in `encoding`; a character that was cut off at its end is left out."""
    try:
        return codecs.getincrementaldecoder(encoding)().decode(body)
    except UnicodeError:
        return None


def _is_text(text: str) -> bool:
    start = text[:_START_CHARS]
    return len(_CONTROL.findall(start)) <= _MOST_CONTROLS * len(start)


def _extracted(html: str) -> tuple[str, str]:
    tree = load_html(html)
    if tree is None:  # it takes a single element for no page
        tree = load_html(f"<html><body>{html}</body></html>")
    if tree is None:
        raise _NoTextError("a page without text")
    title = " ".join((tree.findtext(".//title") or "").split())[:200]
    text = extract(tree, output_format="markdown", include_comments=False) or html2txt(tree)
    if not text.strip():
        raise _NoTextError("a page without text; perhaps a script would make it in a browser")
    return title, text.strip()
