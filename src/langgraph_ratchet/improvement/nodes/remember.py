"""Ends a round: writes down what it came to, and says whether there is another."""

from pathlib import Path
from typing import Any

import orjson

from langgraph_ratchet.core.progress import OnProgress, Progress
from langgraph_ratchet.core.report import Report
from langgraph_ratchet.improvement.node import Update
from langgraph_ratchet.improvement.page import write_page
from langgraph_ratchet.improvement.services import Services, write_bytes
from langgraph_ratchet.improvement.state import ImprovementState


def remember(state: ImprovementState, services: Services, say: OnProgress) -> Update:
    """A line of figures for the run's history; in the round's folder too, as `round.json`."""
    line = _line(state)
    write_bytes(services.round_folder(state) / "round.json", orjson.dumps(line, option=orjson.OPT_INDENT_2))
    accuracy, weak = line["accuracy"]["after"], tuple(line["weak_types"])
    say(
        Progress(
            phase="remember",
            done=state["round"],
            total=state["rounds"],
            round=state["round"],
            accuracy=accuracy,
            weak_types=weak,
        )
    )
    over = state["round"] >= state["rounds"] or _would_repeat(state)
    page = write_page(state, services)
    return {"history": [*state["history"], line], "over": state["run_id"] if over else None, "page": page}


def _would_repeat(state: ImprovementState) -> bool:
    """Nothing was learned, and the next round would have no problem that this one had not."""
    return not state.get("candidate") and not (state.get("proposed") or {}).get("fresh")


def _line(state: ImprovementState) -> dict[str, Any]:
    before, after = _report(state.get("baseline")), _report(state.get("report"))
    # The model that the round ends with: what the next one practises with.
    champion = after if state.get("promoted") else before
    decision = state.get("decision") or {}
    return {
        "round": state["round"],
        "champion": state["champion"],
        "candidate": state.get("candidate"),
        "dataset": (state.get("curated") or {}).get("hash"),
        "decision": decision.get("verdict"),
        "p_value": decision.get("p_value"),
        "approval": state.get("approval"),
        "promoted": state.get("promoted", False),
        "stopped": state.get("stopped"),
        "proposed": state.get("proposed"),
        "rollouts": state.get("rollouts"),
        "accuracy": {
            "champion": _accuracy(before),
            "candidate": _accuracy(after),
            "after": _accuracy(champion),
        },
        "by_type": {str(kind): figure.value for kind, figure in champion.by_type.items()} if champion else {},
        "weak_types": _weak_types(champion) if champion else [],
        "seconds": state.get("seconds", {}),
    }


def _report(path: str | None) -> Report | None:
    return Report.model_validate_json(Path(path).read_bytes()) if path else None


def _accuracy(report: Report | None) -> float | None:
    return report.accuracy().value if report else None


def _weak_types(report: Report) -> list[str]:
    """Types that do worse than the whole, weakest first."""
    whole = report.accuracy().value or 0.0
    values = {str(kind): figure.value or 0.0 for kind, figure in report.by_type.items()}
    return sorted((kind for kind in values if values[kind] < whole), key=lambda kind: values[kind])
