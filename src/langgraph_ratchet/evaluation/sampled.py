"""What a model does when it is sampled: single draws, the best of k, and the majority of k."""

from collections import Counter
from collections.abc import Sequence
from itertools import groupby

from langgraph_ratchet.core.accuracy import Accuracy
from langgraph_ratchet.core.noun import Stored
from langgraph_ratchet.evaluation.runner import Graded


class SampledAccuracy(Stored):
    """k draws per problem at a temperature above 0, on the same problems."""

    samples: int
    """Draws per problem, k."""
    temperature: float
    single: Accuracy
    """Over all draws."""
    pass_at_k: Accuracy
    """Problems of which some draw was right."""
    majority: Accuracy
    """Problems of which the most frequent answer was right; ties go to the answer drawn first."""


def sampled_accuracy(graded: Sequence[Graded], *, temperature: float) -> SampledAccuracy:
    """Sums up draws that stand together problem by problem, as `measure` returns them."""
    groups = [list(group) for _, group in groupby(graded, key=lambda item: item.problem.id)]
    majority = 0
    for group in groups:
        answers = Counter((item.trace.answer or "").strip().lower() for item in group)
        winner = answers.most_common(1)[0][0]
        chosen = next(item for item in group if (item.trace.answer or "").strip().lower() == winner)
        majority += bool(chosen.grade.lenient)
    return SampledAccuracy(
        samples=max((len(group) for group in groups), default=0),
        temperature=temperature,
        single=Accuracy(correct=sum(bool(item.grade.lenient) for item in graded), n=len(graded)),
        pass_at_k=Accuracy(correct=sum(any(item.grade.lenient for item in group) for group in groups), n=len(groups)),
        majority=Accuracy(correct=majority, n=len(groups)),
    )
