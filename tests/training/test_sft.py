from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from langgraph_ratchet.core.errors import BadInputError, FingerprintError, TrainingFailedError, UnknownNameError
from langgraph_ratchet.training.job import Job, Lora
from langgraph_ratchet.training.sft import train_adapter

# PEFT asks transformers for an attribute by its old name.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")


@pytest.fixture
def make_job(base_dir: Path, tmp_path: Path):
    def make(dataset: Path, **fields) -> Job:
        given = {"epochs": 4, "lr": 1e-2, "batch_tokens": 120, "lora": Lora(rank=4, alpha=8.0), "seed": 3}
        return Job(**{"base": f"local:{base_dir}", "dataset": dataset, "out": tmp_path / "adapter", **given, **fields})

    return make


def losses(model, ids) -> torch.Tensor:
    """Loss of each token but the first, computed the plain way."""
    ids_1T = torch.tensor([list(map(int, ids))])
    with torch.no_grad():
        logits = model(input_ids=ids_1T).logits[0, :-1]
    return torch.nn.functional.cross_entropy(logits, ids_1T[0, 1:], reduction="none")


def adapted(base_dir: Path, folder: Path):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    return PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base_dir), str(folder)).eval()


def test_learns_the_tokens_under_the_loss_and_no_others(base, base_dir, rows, make_dataset, make_job) -> None:
    job = make_job(make_dataset(rows, quality=0.5))
    before = {name: value.clone() for name, value in base.model.state_dict().items()}
    told = []
    statistics = train_adapter(job, told.append)

    # What was reported is what is there.
    model = adapted(base_dir, job.out)
    masks = [torch.tensor(mask[1:], dtype=torch.bool) for _, mask, _ in rows]
    old = [losses(base.model, ids) for ids, _, _ in rows]
    new = [losses(model, ids) for ids, _, _ in rows]
    learned = np.mean([float(loss[mask].mean()) for loss, mask in zip(new, masks, strict=True)])
    assert np.mean([float(loss[mask].mean()) for loss, mask in zip(old, masks, strict=True)]) > 3.5
    assert learned < 1.0
    assert statistics.last_loss < 1.0 < statistics.first_loss
    # Random tokens cannot be learned but they can be remembered: nothing was gained there.
    assert np.mean([float((o - n)[~mask].mean()) for o, n, mask in zip(old, new, masks, strict=True)]) <= 0.0

    assert statistics.examples == 40
    assert statistics.examples_by_type == {"mathematical": 20, "temporal": 20}
    assert statistics.mean_quality == 0.5
    assert statistics.epochs == 4.0
    assert statistics.tokens == 4 * sum(len(ids) for ids, _, _ in rows)
    assert told[-1].done == told[-1].total == statistics.steps
    assert told[-1].epoch == 4.0
    assert told[-1].loss == statistics.last_loss
    after = base.model.state_dict()
    assert after.keys() == before.keys(), "the base still carries adapter layers"
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_masked_tokens_do_not_matter_at_all(rows, make_dataset, make_job, tmp_path) -> None:
    """What follows the last token under the loss can change nothing: it is never predicted and never seen."""
    weights = []
    for tail in (9, 33):
        longer = [([*ids, tail, tail], [*mask, 0, 0], weight) for ids, mask, weight in rows]
        job = make_job(make_dataset(longer), out=tmp_path / f"adapter_{tail}", max_steps=3)
        train_adapter(job)
        weights.append(load_file(job.out / "adapter_model.safetensors"))
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_weights_decide_between_contradicting_examples(base_dir, make_dataset, make_job) -> None:
    prompt = [11, 12, 13]
    contradicting = [([*prompt, 20], [0, 0, 0, 1], 0.9), ([*prompt, 30], [0, 0, 0, 1], 0.1)]
    job = make_job(make_dataset(contradicting), epochs=60, batch_tokens=100, lr=0.05)
    statistics = train_adapter(job)
    model = adapted(base_dir, job.out)
    first, second = (losses(model, ids)[-1] for ids, _, _ in contradicting)
    assert torch.stack([-first, -second]).softmax(0).tolist() == pytest.approx([0.9, 0.1], abs=0.02)
    assert statistics.last_loss == pytest.approx(0.9 * float(first) + 0.1 * float(second), abs=0.01)


@pytest.mark.parametrize("batch_tokens", [1, 100])
def test_an_example_counts_by_its_weight_whatever_its_length_and_batch(
    base_dir, make_dataset, make_job, batch_tokens: int
) -> None:
    """A reply of eight tokens and one of a single token disagree about the first token after the prompt."""
    prompt = [11, 12, 13]
    long, short = [*prompt, 20, *[21] * 7], [*prompt, 30]
    both = [(long, [0] * 3 + [1] * 8, 0.5), (short, [0, 0, 0, 1], 0.5)]
    job = make_job(make_dataset(both), epochs=60, batch_tokens=batch_tokens, lr=0.03)
    train_adapter(job)
    model = adapted(base_dir, job.out)
    one, other = (losses(model, ids)[2] for ids in (long, short))
    # The long reply puts an eighth of its weight on the token in question: 1/8 : 1.
    assert float(torch.stack([-one, -other]).softmax(0)[1]) == pytest.approx(8 / 9, abs=0.03)


def test_equal_jobs_give_equal_adapters(rows, make_dataset, make_job, tmp_path) -> None:
    dataset = make_dataset(rows)
    weights = []
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        job = make_job(dataset, out=tmp_path / name, seed=seed, epochs=1)
        train_adapter(job)
        weights.append(load_file(job.out / "adapter_model.safetensors"))
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert not all(torch.equal(weights[0][name], weights[2][name]) for name in weights[0])


def test_adapter_folder_is_portable_and_has_no_other_files(base_dir, rows, make_dataset, make_job) -> None:
    job = make_job(make_dataset(rows), max_steps=2)
    assert train_adapter(job).steps == 2
    assert sorted(path.name for path in job.out.iterdir()) == ["adapter_config.json", "adapter_model.safetensors"]
    config = (job.out / "adapter_config.json").read_text()
    assert str(base_dir.parent) not in config
    assert f'"base_model_name_or_path": "{base_dir.name}"' in config
    layers = {name.split(".lora_")[0] for name in load_file(job.out / "adapter_model.safetensors")}
    assert len(layers) == 2 * 7, "every linear layer, and not the vocabulary projection"
    # A folder that an earlier run left is replaced.
    train_adapter(job)
    (job.out / "mine.txt").write_text("keep me")
    with pytest.raises(BadInputError, match="holds something else than an adapter"):
        train_adapter(job)
    assert (job.out / "mine.txt").exists()


def test_bfloat16_trains_too(rows, make_dataset, make_job) -> None:
    statistics = train_adapter(make_job(make_dataset(rows), precision="bfloat16"))
    assert statistics.last_loss < statistics.first_loss


@pytest.mark.parametrize("lr", [1e9, 1e30])
def test_diverging_training_fails_and_leaves_no_adapter(rows, make_dataset, make_job, lr: float) -> None:
    """The model collapses; the loss becomes NaN."""
    job = make_job(make_dataset(rows), lr=lr)
    with pytest.raises(TrainingFailedError, match="training diverged: .* lower the learning rate"):
        train_adapter(job)
    assert not job.out.exists()


def test_dataset_of_another_base_is_refused(base, rows, make_dataset, make_job) -> None:
    other = base.fingerprint.model_copy(update={"template": "0" * 64})
    with pytest.raises(FingerprintError, match="template 000000000000 is not"):
        train_adapter(make_job(make_dataset(rows, fingerprint=other)))
    # The adapter that sampled the tokens is not compared: training starts from the base in any case.
    sampled = base.fingerprint.model_copy(update={"adapter": "1" * 64})
    assert train_adapter(make_job(make_dataset(rows, fingerprint=sampled), max_steps=1)).steps == 1


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "no example to learn from"),
        ([([2, 3], [0, 1], 0.0)], "no example to learn from"),
        ([([2, 3], [1, 0], 1.0)], "no token under the loss"),
        ([([2, 3], [0, 1], -1.0)], "the weight -1.0"),
        ([([2] * 97, [1] * 97, 1.0)], "97 tokens, the base takes 96"),
    ],
)
def test_examples_that_cannot_be_learned_from_are_refused(make_dataset, make_job, given, said: str) -> None:
    with pytest.raises(BadInputError, match=said):
        train_adapter(make_job(make_dataset(given)))


def test_missing_parts_are_named(rows, make_dataset, make_job, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="no dataset could be read from"):
        train_adapter(make_job(tmp_path / "nowhere.json"))
    (tmp_path / "broken.json").write_text('{"examples": 3}')
    with pytest.raises(BadInputError, match=r"broken\.json is not a dataset: examples"):
        train_adapter(make_job(tmp_path / "broken.json"))
    with pytest.raises(UnknownNameError, match="nowhere"):
        train_adapter(make_job(make_dataset(rows), base=f"local:{tmp_path}/nowhere"))
    with pytest.raises(BadInputError, match="no adapter can be put on the base"):
        train_adapter(make_job(make_dataset(rows), lora=Lora(target=("no_such_layer",))))
