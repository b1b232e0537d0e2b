"""A finished run as something to remember: what was asked, how it went, what was answered."""

from langgraph_ratchet.core.step import Step, Trust
from langgraph_ratchet.core.trace import Outcome, Trace
from langgraph_ratchet.tools.memory.memory import Memory
from langgraph_ratchet.tools.memory.record import TEXT_CHARS, MemoryKind

_QUESTION_CHARS = 3_000
_ANSWER_CHARS = 2_000
_STEP_CHARS = 150
_STEPS = 10


def experience_text(trace: Trace) -> str:
    """A run in words: question, strategy, tool calls, answer; each cut where it is long."""
    lines = [f"Question: {_cut(trace.question.text, _QUESTION_CHARS)}"]
    if trace.strategy:
        lines.append(f"Strategy: {trace.strategy}")
    if trace.steps:
        lines.append(f"Steps: {'; '.join(_step(step) for step in trace.steps[:_STEPS])}")
    lines.append(f"Answer: {_cut(trace.answer or '', _ANSWER_CHARS)}")
    return "\n".join(lines)[:TEXT_CHARS]


def remember_run(memory: Memory, trace: Trace, *, trust: Trust | None = None) -> str | None:
    """Remembers a run that ended with an answer, as an experience; the same run once, however often it is given.

    Args:
        memory: where to.
        trace: the run.
        trust: `None`: untrusted if a step of the run gave untrusted text. A trace does not say what memory had given.

    Returns:
        The record's id; `None` for a run without an answer, of which nothing is remembered.

    Raises:
        MemoryStoreError: the memory cannot be written.
    """
    if trace.outcome is not Outcome.ANSWERED or not trace.answer:
        return None
    if trust is None:
        trust = Trust.UNTRUSTED if any(step.trust is Trust.UNTRUSTED for step in trace.steps) else Trust.OWN
    return memory.remember(
        experience_text(trace), kind=MemoryKind.EXPERIENCE, writer=trace.model, run=trace.id, trust=trust
    )


def _step(step: Step) -> str:
    # Without what it gave: a result may be long, and other people's.
    return _cut(step.description, _STEP_CHARS) + (" (failed)" if step.failed else "")


def _cut(text: str, most: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else line[:most] + "…"
