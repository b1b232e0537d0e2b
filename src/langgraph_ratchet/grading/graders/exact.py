"""Grades names and short texts: `Peru`, `St. Petersburg`, `C++`.

Strict: the stripped answer is the value. Lenient: case, spacing, apostrophes and punctuation aside, the answer is the
value, or its last sentence (what follows the last "answer is", if it says that) gives the value as whole words and
commits to it. "It lives in Peru." does; "not Peru", "Peru or Chile", "Chile, Peru, Kenya" and "Papua New Guinea" for
`Guinea` do not: a text that names every value would otherwise be right each time.
"""

from langgraph_ratchet.core.answer_key import AnswerKey
from langgraph_ratchet.core.errors import BadInputError
from langgraph_ratchet.grading.judgement import Judgement, shown
from langgraph_ratchet.grading.reading import (
    after_last_cue,
    commits,
    is_list,
    last_part,
    mark_phrases,
    phrase,
    sentences,
    tokens,
)

VERSION = 1

GOLD = (
    AnswerKey(value="Peru", grader="exact"),
    AnswerKey(value="São Tomé and Príncipe", grader="exact"),
    AnswerKey(value="St. Petersburg", grader="exact"),
    AnswerKey(value="C++", grader="exact"),
)

# Looking for a longer value word by word is never needed: nobody wraps a page of text in a sentence.
_LONGEST_PHRASE = 100


def judge(key: AnswerKey, answer: str) -> Judgement:
    """Whether `answer` gives the key's value.

    Raises:
        BadInputError: the key's value is empty.
    """
    value, given = key.value.strip(), answer.strip()
    if not value:
        raise BadInputError("the key's value is empty")
    if given == value:
        return Judgement(strict=True, lenient=True, reason=f"it is {shown(value)}")
    wanted = phrase(value)
    if not wanted or len(wanted) > _LONGEST_PHRASE:
        return Judgement(strict=False, lenient=False, reason=f"it is not {shown(value)}, which must be equal")
    read = mark_phrases(tokens(last_part(given)), [wanted])
    clause = after_last_cue(read)
    if clause is None:
        *_, (clause, asks) = ([], False), *sentences(read)
        clause = [] if asks or is_list(read) else clause
    if commits(clause):
        return Judgement(strict=False, lenient=True, reason=f"it gives {shown(value)}")
    named = any(token.phrase == 0 for token in read)
    reason = f"it names {shown(value)} without giving it as the answer" if named else f"it does not give {shown(value)}"
    return Judgement(strict=False, lenient=False, reason=reason)
