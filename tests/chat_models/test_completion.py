"""Raw text completion, and which adapter a stream is written with."""

import asyncio

from tests.chat_models.sums import said, total


def test_a_stream_ends_with_the_adapter_that_it_began_with(model, adapter_folders, tmp_path):
    first, second = map(str, adapter_folders)
    link = tmp_path / "current"
    link.symlink_to(first)
    arguments = {"temperature": 1.0, "seed": 2}
    expected = {name: model.invoke("?", adapter=name, **arguments) for name in (first, second)}
    stream = model.stream("?", adapter=str(link), **arguments)
    chunks = [next(stream)]
    link.unlink()
    link.symlink_to(second)
    after = model.invoke("?", adapter=str(link), **arguments)
    chunks += stream
    assert said(total(chunks)) == said(expected[first])
    assert said(after) == said(expected[second])


def test_raw_text_is_gone_on_with(model):
    ids = model.base.tokenizer.encode("What is <|im_end|>", add_special_tokens=False)
    (whole,) = model.complete(ids, temperature=1.0, seed=3, logprobs=True)
    assert whole.metadata["tokens"]["prompt_ids"] == ids
    (text,) = model.complete("What is <|im_end|>")
    assert model.base.tokenizer.eos_token_id not in text.metadata["tokens"]["prompt_ids"]
    assert "What is" in model.base.tokenizer.decode(text.metadata["tokens"]["prompt_ids"])
    pieces = list(model.stream_completion(ids, temperature=1.0, seed=3, logprobs=True))
    assert "".join(piece.text for piece in pieces) == whole.text
    assert pieces[-1].whole.usage == whole.usage
    assert pieces[-1].whole.text == whole.text
    told = [entry for piece in pieces if piece.logprobs for entry in piece.logprobs["content"]]
    assert [entry["bytes"] for entry in told] == [entry["bytes"] for entry in whole.metadata["logprobs"]["content"]]
    assert len(model.complete(ids, n=3, temperature=1.0, seed=3)) == 3

    async def consume() -> str:
        (again,) = await model.acomplete(ids, temperature=1.0, seed=3, logprobs=True)
        assert again.text == whole.text
        return "".join([piece.text async for piece in model.astream_completion(ids, temperature=1.0, seed=3)])

    assert asyncio.run(consume()) == whole.text


def test_raw_text_ends_before_a_stop_text(speaker):
    model = speaker(" one STO STOP two<|im_end|>")
    assert model.complete("?", stop=["STOP"])[0].text == " one STO "
    assert "".join(piece.text for piece in model.stream_completion("?", stop=["STOP"])) == " one STO "
