"""The grader `roman`: numbers in Roman numerals, `XIV`.

Strict: the stripped answer is the value. Lenient: the last numeral of two letters or more is the value.
"""

import re

from langgraph_ratchet.core.answer_key import AnswerKey
from langgraph_ratchet.core.errors import BadInputError
from langgraph_ratchet.grading.judgement import Judgement, shown
from langgraph_ratchet.grading.reading import last_part

VERSION = 1

GOLD = (AnswerKey(value="XIV", grader="roman"), AnswerKey(value="MMXXVI", grader="roman"))

_NUMERAL = re.compile(r"\b[IVXLCDM]{2,15}\b")


def judge(key: AnswerKey, answer: str) -> Judgement:
    """Whether `answer` gives the key's numeral.

    Raises:
        BadInputError: the key's value is no numeral of two letters or more.
    """
    value, given = key.value.strip(), answer.strip()
    if not _NUMERAL.fullmatch(value):
        raise BadInputError(f"the key's value is {shown(value)}, wanted a Roman numeral of two letters or more")
    found = _NUMERAL.findall(last_part(given))
    read = found[-1] if found else "no numeral"
    return Judgement(strict=given == value, lenient=read == value, reason=f"read {read}, wanted {value}")
