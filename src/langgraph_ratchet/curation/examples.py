"""Makes one training example of each call that is left of a run."""

from collections.abc import Iterator, Mapping

from langgraph_ratchet.core.example import Example
from langgraph_ratchet.core.ids import content_id
from langgraph_ratchet.curation.rolled import Kept


def examples_of(runs: Mapping[str, Kept]) -> Iterator[Example]:
    """Examples of runs, each run under a name that no other has and that follows from its content."""
    for name, kept in runs.items():
        problem, trace = kept.rolled.problem, kept.rolled.trace
        for position, call in enumerate(kept.calls):
            assert call.tokens is not None, "calls without tokens were dropped"
            prompt, completion = call.tokens.prompt_ids, call.tokens.completion_ids
            yield Example(
                # By content, not by the call's random id: the same rollouts give the same dataset hash.
                id=content_id("ex", [name, position, prompt, completion]),
                trace_id=trace.id,
                call_id=call.id,
                node=call.node,
                question_type=problem.question.type,
                input_ids=prompt + completion,
                loss_mask=(0,) * len(prompt) + (1,) * len(completion),
                weight=1 / len(kept.calls),
                quality=None,
                verified=kept.rolled.right,
                source=problem.source,
            )
