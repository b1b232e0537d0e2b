"""The page: it stands alone, says what was measured, and shows what others wrote without obeying it."""

import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest

from langgraph_ratchet.core.trace import Outcome
from langgraph_ratchet.evaluation.report import MAX_BYTES, Conclusion, Flips, Page, Provenance, render, write

Make = Callable[..., Page]

VOID = {"meta", "line", "circle", "path", "polyline", "br"}
HOSTILE = {
    "markup": "<script>alert(1)</script><img src=x onerror=alert(1)>\"'><b",
    "template": "{{ 7 * 7 }}{% include 'page.css' %}${7*7}",
    "a closing tag": "</style></title></details></main>-->]]>",
    "a link": "javascript:alert(1) https://example.org/x.png url(http://example.org)",
    "control codes": "a\x00b\x1b[2J\x07\x0b\x9f",
    "right to left": "abc\u202egnp.exe\u2066\u200f",
    "very long": "m" * 1_000_000,
    "very long words of markup": "<i>&" * 250_000,
}


class Reader(HTMLParser):
    """Elements and texts of a page; it fails where a tag is not closed where it should be."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> closes another"

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.texts.append(data)


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert not reader.open
    return reader


def said(html: str) -> str:
    return " ".join(" ".join(read(html).texts).split())


def attributes(reader: Reader) -> Iterator[tuple[str, str]]:
    for _, given in reader.elements:
        for name, value in given.items():
            yield name, value or ""


def test_it_needs_no_other_file_no_network_and_no_script(new_page: Make) -> None:
    reader = read(render(new_page()))
    assert not {tag for tag, _ in reader.elements} & {"script", "link", "img", "iframe", "object", "base", "form", "a"}
    assert not {name for name, _ in attributes(reader)} & {"src", "href", "srcset", "action", "xlink:href"}
    policy = next(given["content"] for tag, given in reader.elements if given.get("http-equiv"))
    assert policy == "default-src 'none'; style-src 'unsafe-inline'"
    assert "url(" not in render(new_page())
    assert "@import" not in render(new_page())


def test_it_says_what_was_decided_and_measured(new_page: Make) -> None:
    text = said(render(new_page()))
    assert "Promoted. The new model solves 74 % of 120 held-out problems, the old one 50 %." in text
    assert "before: 60 of 120 95 % interval 41–59 %" in text
    assert "after: 89 of 120 95 % interval 66–81 %" in text
    assert "30 problems newly solved" in text
    assert "1 problem no longer solved" in text
    assert "All 9 checks of the gate passed" in text
    assert "704" not in text


def test_it_shows_every_part_of_a_round(new_page: Make) -> None:
    text = said(render(new_page()))
    for part in (
        "mathematical", "temporal", "multi-hop", "level 4 never practised", "at least +2.0 points", "at most 0.01",
        "Curation did the work: of 120 problems", "12 runs, 5 of them right", "The right answer: 2",
        "40 runs of 10 practice problems: 25 right, 14 wrong, 1 that could not be graded", "7 runs The answer is wrong",
        "40 examples, 3 epochs, 30 steps", "model calls 5 5", "d" * 64, "ratchet improve --seed 0",
        "v_new the candidate", "other people’s text", "Calculate.",
    ):  # fmt: skip
        assert part in text, part


def test_the_chart_puts_each_accuracy_where_it_belongs(new_page: Make) -> None:
    reader = read(render(new_page()))
    dots = [given for tag, given in reader.elements if tag == "circle"]
    assert (dots[0]["class"], dots[0]["cx"]) == ("dot before", "50.00%")
    assert (dots[1]["class"], dots[1]["cx"]) == ("dot after", "74.17%")
    lines = [given for tag, given in reader.elements if tag == "line" and str(given["class"]).startswith("ci")]
    assert (lines[0]["x1"], lines[0]["x2"]) == ("41.19%", "58.81%")


def test_the_loss_curve_falls_from_left_to_right(new_page: Make) -> None:
    reader = read(render(new_page()))
    points = next(given["points"] for tag, given in reader.elements if tag == "polyline")
    places = [tuple(map(float, point.split(","))) for point in str(points).split()]
    assert len(places) == 30
    assert all(a[0] < b[0] and a[1] < b[1] for a, b in pairwise(places))
    assert all(0 <= x <= 1000 and 0 <= y <= 1000 for x, y in places)


@pytest.mark.parametrize("kind", HOSTILE)
def test_what_others_wrote_is_shown_and_not_obeyed(kind: str, new_page: Make) -> None:
    html = render(new_page(HOSTILE[kind], count=16))
    html.encode()
    assert len(html.encode()) <= MAX_BYTES
    reader = read(html)
    assert {tag for tag, _ in reader.elements} == {tag for tag, _ in read(render(new_page("plain"))).elements}
    assert not {name for name, _ in attributes(reader) if name.startswith("on")}
    assert not {
        value for name, value in attributes(reader) if name not in ("aria-label", "content") and "alert" in value
    }
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", html)
    if kind in ("markup", "template"):
        assert HOSTILE[kind] in said(html)


def test_broken_text_is_shown_as_far_as_it_goes(new_page: Make) -> None:
    provenance = Provenance((("a\udc80", "b\ud800"),), (), (), "ratchet improve --suite '\udcff.toml'")
    html = render(new_page(run="a\udc80b\ud800", provenance=provenance))
    html.encode()
    assert "a\\udc80b\\ud800, round 1" in said(html)
    assert "--suite '\\udcff.toml'" in said(html)


def test_a_long_answer_is_cut_and_says_so(new_page: Make) -> None:
    html = render(new_page("m" * 1_000_000, count=16))
    assert "characters more)" in html
    assert "m" * 2100 not in html


def test_a_page_that_would_be_too_large_shows_fewer_problems(new_page: Make) -> None:
    page = new_page("<&" * 3000)
    flips = Flips(won=page.flips.won, lost=page.flips.lost, wins=page.flips.wins * 40, losses=page.flips.losses)
    html = render(new_page("<&" * 3000, flips=flips))
    assert len(html.encode()) <= MAX_BYTES
    assert 0 < html.count('class="pair"') < 200
    assert "30 problems newly solved" in said(html)


@pytest.mark.parametrize("conclusion", Conclusion)
def test_every_standing_is_said_first(conclusion: Conclusion, new_page: Make) -> None:
    text = said(render(new_page(conclusion=conclusion)))
    assert f"{conclusion.word}. The new model solves" in text
    assert conclusion.sentence in text


def test_a_round_that_trained_nothing_has_a_page_too(new_page: Make) -> None:
    page = new_page(
        after=None, decision=None, flips=Flips(), training=None, control=None, learned=None,
        conclusion=Conclusion.NOTHING_LEARNED, stopped="no rollout was fit to learn from",
    )  # fmt: skip
    text = said(render(page))
    assert "Nothing to learn from. The model solves 50 % of 120 held-out problems; no new one was measured." in text
    assert "no rollout was fit to learn from" in text
    assert "Training" not in text


def test_runs_that_ran_out_of_time_are_warned_of(new_page: Make) -> None:
    page = new_page()
    assert "ran out of time" not in said(render(page))
    rows = tuple(row.model_copy(update={"outcome": Outcome.OUT_OF_TIME}) for row in page.before.rows[:7])
    before = page.before.model_copy(update={"rows": rows + page.before.rows[7:]})
    assert "7 runs before and 0 after ran out of time and count as wrong." in said(render(new_page(before=before)))


def test_a_trace_that_is_gone_is_said_to_be(new_page: Make) -> None:
    from dataclasses import replace

    page = new_page()
    wins = tuple(replace(flip, before=None) for flip in page.flips.wins)
    assert "The trace is not in the store any more." in render(new_page(flips=replace(page.flips, wins=wins)))


def test_it_is_written_whole(new_page: Make, tmp_path: Path) -> None:
    path = write(new_page(), tmp_path / "report.html")
    assert path.read_text(encoding="utf-8").rstrip().endswith("</html>")
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]
