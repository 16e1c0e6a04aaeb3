"""Prompts to contexts: as diffusers encodes them, and what the web UI adds to that."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from controlnet.backbones import Base, load_base
from controlnet.backbones._text import emphasised, tokenize
from controlnet.errors import SettingError, ShapeError

PLAIN = ["a b c", "", "abc", "a b c d e", "a cab"]  # of 5 tokens at most, which is what a chunk holds here


@pytest.fixture(scope="module")
def base(folder: Path) -> Base:
    return load_base(folder)


@pytest.fixture(scope="module")
def xl(xl_folder: Path) -> Base:
    return load_base(xl_folder)


@pytest.fixture(scope="module", params=["base", "xl"])
def either(request: pytest.FixtureRequest) -> Base:
    return request.getfixturevalue(request.param)


@torch.no_grad()
def by_hand(base: Base, prompt: str) -> Tensor:
    """The tokens of a short, plain prompt, by the encoders' own means."""
    parts = []
    for tokenizer, encoder in zip(base.tokenizers, base.text_encoders, strict=True):
        ids = tokenizer([prompt], padding="max_length", max_length=7, return_tensors="pt").input_ids
        output = encoder(ids, output_hidden_states=True)
        parts.append(output.hidden_states[-2] if len(base.tokenizers) > 1 else output.last_hidden_state)
    return torch.cat(parts, dim=-1)


@pytest.mark.parametrize("count", [1, 5])
def test_plain_prompts_are_what_they_were_to_the_bit(either: Base, count: int) -> None:
    read, taken = (either.encode_prompts(PLAIN[:count], literal=literal) for literal in (False, True))
    assert read.tokens.shape == (count, 7, 12)
    assert torch.equal(read.tokens, taken.tokens)
    if either.name == "small-xl":
        assert torch.equal(read.text_embeds, taken.text_embeds)


def test_the_embedded_base_reads_plain_prompts_as_before() -> None:
    base = load_base("shapes")
    texts = ["a red cube on a sand floor", "two blue cones, one green ball", "3 spheres: don't", " ", "x\\y"]
    ids = tokenize(texts, base.tokenizers[0], 32)
    with torch.no_grad():
        assert torch.equal(base.encode_prompts(texts).tokens, base.text_encoders[0](ids)[0])
    assert base.encode_prompts(["red cube, " * 20]).tokens.shape == (1, 2 * 32, 128)


def test_long_prompts_are_read_chunk_by_chunk(either: Base) -> None:
    context = either.encode_prompts(["a b c d e f g h i j k"])
    wanted = [by_hand(either, part) for part in ("a b c d e", "f g h i j", "k")]
    assert torch.equal(context.tokens, torch.cat(wanted, dim=1))
    if either.name == "small-xl":
        assert torch.equal(context.text_embeds, either.encode_prompts(["a b c d e"]).text_embeds)


def test_break_begins_a_chunk(either: Base) -> None:
    wanted = torch.cat([by_hand(either, "a b"), by_hand(either, "c")], dim=1)
    assert torch.equal(either.encode_prompts(["a b BREAK c"]).tokens, wanted)


def test_shorter_prompts_are_filled_up_with_the_empty_one(base: Base) -> None:
    context = base.encode_prompts(["a b BREAK c", "d"])
    assert context.tokens.shape == (2, 14, 12)
    wanted = torch.cat([by_hand(base, "d"), by_hand(base, "")], dim=1)
    torch.testing.assert_close(context.tokens[1:], wanted, rtol=0, atol=1e-6)


def test_captions_mean_themselves(base: Base, caplog: pytest.LogCaptureFixture) -> None:
    assert torch.equal(base.encode_prompts(["(a)"], literal=True).tokens, by_hand(base, "(a)"))
    assert not torch.equal(base.encode_prompts(["(a)"]).tokens, by_hand(base, "(a)"))
    assert not caplog.text


def learnt(base: Base) -> Base:
    """Give the final norm what a trained one has: a shift, so that the mean of its output says something."""
    with torch.no_grad():
        base.text_encoders[0].final_layer_norm.bias.add_(0.3)
    return base


def test_weights_scale_tokens_and_keep_the_mean(folder: Path) -> None:
    base = learnt(load_base(folder))
    plain, weighted = (base.encode_prompts([text]).tokens for text in ("a b c", "a (b:1.5) c"))
    scale = torch.ones(7)
    scale[2] = 1.5  # behind the start and "a"
    scaled = plain * scale[:, None]
    torch.testing.assert_close(weighted, scaled * (plain.mean() / scaled.mean()), rtol=1e-5, atol=1e-6)
    assert float(weighted.mean()) == pytest.approx(float(plain.mean()), rel=1e-5)
    assert not torch.allclose(weighted, plain, atol=1e-3)


def test_a_weight_of_one_changes_no_bit(either: Base) -> None:
    assert torch.equal(either.encode_prompts(["(a:1) b"]).tokens, either.encode_prompts(["a b"]).tokens)


def test_weights_stay_with_their_prompt_and_chunk(folder: Path) -> None:
    base = learnt(load_base(folder))
    both = base.encode_prompts(["(a:1.5) b BREAK c", "a b BREAK c"]).tokens
    plain = base.encode_prompts(["a b BREAK c", "a b BREAK c"]).tokens
    assert torch.equal(both[1], plain[1]) and torch.equal(both[0, 7:], plain[0, 7:])
    assert not torch.allclose(both[0, :7], plain[0, :7], atol=1e-3)


def test_weights_in_sdxl_leave_the_pooled_text_alone(xl: Base) -> None:
    plain, weighted = (xl.encode_prompts([text]) for text in ("a b", "a (b:1.5)"))
    assert torch.equal(plain.text_embeds, weighted.text_embeds)
    assert not torch.equal(plain.tokens, weighted.tokens)


def test_a_mean_that_is_only_rounding_is_not_restored() -> None:
    torch.manual_seed(0)
    tokens = torch.nn.functional.layer_norm(torch.randn(1, 7, 12), (12,))
    weights = torch.tensor([[1, 2.0, 1, 1, 1, 1, 1]])
    assert torch.equal(emphasised(tokens, weights), tokens * weights[..., None])


def pipeline_of(base: Base) -> Any:
    """diffusers' pipeline of the same parts."""
    from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline
    from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl import StableDiffusionXLPipeline
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler

    parts = {
        "vae": base.vae,
        "unet": base.network,
        "scheduler": DDIMScheduler(steps_offset=1, clip_sample=False),
    }
    for number, pair in enumerate(zip(base.text_encoders, base.tokenizers, strict=True)):
        suffix = "_2" if number else ""
        parts |= {f"text_encoder{suffix}": pair[0], f"tokenizer{suffix}": pair[1]}
    if len(base.text_encoders) > 1:
        return StableDiffusionXLPipeline(**parts, add_watermarker=False)
    absent = {"safety_checker": None, "feature_extractor": None, "image_encoder": None}
    return StableDiffusionPipeline(**parts, **absent, requires_safety_checker=False)


def test_clip_skip_is_that_of_diffusers(base: Base, monkeypatch: pytest.MonkeyPatch) -> None:
    """Theirs counts the layers that are left out, ours from the last, as the web UI does."""
    pipeline = pipeline_of(base)
    encoder = pipeline.text_encoder
    if not hasattr(encoder, "text_model"):  # diffusers asks for a level that newer transformers have dropped
        monkeypatch.setitem(encoder.__dict__, "text_model", encoder)
    found = []
    for skip, theirs in ((None, None), (1, None), (2, 1), (3, 2)):
        wanted, _ = pipeline.encode_prompt(["a b c"], "cpu", 1, False, clip_skip=theirs)
        found.append(base.encode_prompts(["a b c"], clip_skip=skip).tokens)
        assert torch.equal(found[-1], wanted)
        assert torch.equal(base.encode_prompts(["a b c"], clip_skip=skip, literal=True).tokens, wanted)
    assert not torch.equal(found[1], found[2]) and not torch.equal(found[2], found[3])


def test_clip_skip_of_sdxl_is_that_of_diffusers(xl: Base) -> None:
    pipeline = pipeline_of(xl)
    for skip, theirs in ((None, None), (2, None), (3, 1)):
        wanted, _, pooled, _ = pipeline.encode_prompt(
            "a b c", device="cpu", do_classifier_free_guidance=False, clip_skip=theirs
        )
        found = xl.encode_prompts(["a b c"], clip_skip=skip)
        assert torch.equal(found.tokens, wanted) and torch.equal(found.text_embeds, pooled)


@pytest.mark.parametrize("skip", [0, -1, 4])
def test_a_layer_that_is_not_there(base: Base, skip: int) -> None:
    with pytest.raises(SettingError, match=f"clip_skip {skip}; wanted 1 .* to 3"):
        base.encode_prompts(["a"], clip_skip=skip)


def test_added_words_are_those_of_diffusers(folder: Path) -> None:
    """One vector, as their pipeline puts it into encoder and tokenizer; here both stay as they are."""
    base, pipeline, vector = load_base(folder), pipeline_of(load_base(folder)), torch.randn(1, 12)
    before, size = base.encode_prompts(["a b"]).tokens, len(base.tokenizers[0])
    pipeline.load_textual_inversion({"<mine>": vector[0]}, token="<mine>")
    base.add_word("<mine>", [vector])
    wanted, _ = pipeline.encode_prompt(["a <mine> b"], "cpu", 1, False)
    found = base.encode_prompts(["a <mine> b"]).tokens
    assert torch.equal(found, wanted)
    assert not torch.equal(found, base.encode_prompts(["a b b"]).tokens)
    assert torch.equal(base.encode_prompts(["a b"]).tokens, before) and len(base.tokenizers[0]) == size


def test_added_words_in_sdxl_leave_the_end_where_it_is(xl_folder: Path) -> None:
    xl = load_base(xl_folder)
    for encoder in xl.text_encoders:
        encoder.eos_token_id = encoder.config.eos_token_id = (
            2  # as all published ones: the end is the highest id
        )
    before = xl.encode_prompts(["a b c"])
    ids = [tokenizer("b", add_special_tokens=False).input_ids for tokenizer in xl.tokenizers]
    own = [e.get_input_embeddings().weight[i].clone() for e, i in zip(xl.text_encoders, ids, strict=True)]
    xl.add_word("<mine>", own)
    after = xl.encode_prompts(["a <mine> c"])
    assert torch.equal(after.tokens, before.tokens) and torch.equal(after.text_embeds, before.text_embeds)


@pytest.mark.parametrize("word", ["", " ", " a", "a BREAK b"])
def test_words_that_no_prompt_can_hold(base: Base, word: str) -> None:
    with pytest.raises(SettingError, match="as a word"):
        base.add_word(word, [torch.zeros(1, 12)])


@pytest.mark.parametrize("shapes", [[(1, 8)], [(12,)], [], [(1, 12), (1, 12)], [(6, 12)], [(0, 12)]], ids=str)
def test_vectors_that_do_not_fit(base: Base, shapes: list[tuple[int, ...]]) -> None:
    with pytest.raises(ShapeError, match=r"encoders of width 12|1 to 5"):
        base.add_word("mine", [torch.zeros(shape) for shape in shapes])
    assert not base.words
