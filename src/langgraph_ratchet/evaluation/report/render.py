"""Draws the page: the template, filled with what was measured. Every value is escaped, whoever wrote it."""

from collections.abc import Collection
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langgraph_ratchet.core.errors import MissingExtraError
from langgraph_ratchet.core.ids import clean_text
from langgraph_ratchet.core.report import Report
from langgraph_ratchet.core.trace import Outcome
from langgraph_ratchet.core.visible import counted, percent
from langgraph_ratchet.evaluation.report import charts, figures, words
from langgraph_ratchet.evaluation.report.flips import Flips
from langgraph_ratchet.evaluation.report.page import Page

if TYPE_CHECKING:
    from jinja2 import Template

MAX_BYTES = 1_000_000
"""A page that people send each other."""

_FOLDER = Path(__file__).parent
_STYLE = "page.css"
_TEMPLATE = "page.html.jinja"


def render(page: Page) -> str:
    """The page as HTML, at most `MAX_BYTES` of UTF-8: it needs no other file, no network and no script.

    If need be it shows fewer of the problems that flipped.
    """
    html = _filled(page)
    shown = max(len(page.flips.wins), len(page.flips.losses))
    while len(html.encode()) > MAX_BYTES and shown:
        shown //= 2
        html = _filled(replace(page, flips=_fewer(page.flips, shown)))
    return html


def write(page: Page, path: Path) -> Path:
    """Writes the page whole or not at all."""
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(render(page), encoding="utf-8")
    partial.replace(path)
    return path


def _filled(page: Page) -> str:
    return clean_text(_template().render(page=page, figures=figures, **_view(page)))


def _view(page: Page) -> dict[str, Any]:
    control = page.control
    return {
        "style": (_FOLDER / _STYLE).read_text(encoding="utf-8"),
        "headline": words.headline(page),
        "verdict": words.verdict(page),
        "checks": words.checks(page, alike=False),
        "alike": words.checks(page, alike=True),
        "types": charts.by_type(page.before, page.after),
        "levels": charts.by_level(page.before, page.after, page.never_practised),
        "wins": words.cases(page.flips.wins, won=True),
        "losses": words.cases(page.flips.losses, won=False),
        "curve": charts.loss_curve(page.training) if page.training else None,
        "costs": words.costs(page.before, page.after),
        "late": words.late(page.before, page.after),
        "beside": _beside(control.report, page.after) if control and page.after else [],
    }


def _beside(control: Report, candidate: Report) -> list[charts.Row]:
    """The two on the problems that they were compared on; more may have been asked for at the approval."""
    compared = set.intersection(
        *(
            {row.problem_id for row in report.rows if row.outcome is not Outcome.OUT_OF_TIME}
            for report in (control, candidate)
        )
    )
    return charts.by_type(_of(control, compared), _of(candidate, compared))


def _of(report: Report, problem_ids: Collection[str]) -> Report:
    return report.model_copy(update={"rows": tuple(row for row in report.rows if row.problem_id in problem_ids)})


def _fewer(flips: Flips, shown: int) -> Flips:
    return replace(flips, wins=flips.wins[:shown], losses=flips.losses[:shown])


@cache
def _template() -> "Template":
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
    except ImportError as error:
        raise MissingExtraError("the report as a page", "local") from error
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["cut"] = figures.cut
    environment.globals.update(counted=counted, percent=percent)
    return environment.get_template(_TEMPLATE)
