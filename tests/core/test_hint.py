import pytest
import torch
from torch import nn

from controlnet.core.hint import CentredUnshuffle, hint_encoder

FORMS = ["published", "paper", "unshuffle", "centred"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("size", [(64, 64), (40, 72)])
def test_brings_the_condition_to_an_eighth_and_to_zero(form, size):
    encoder = hint_encoder(form, 3, 20)
    out = encoder(torch.rand(2, 3, *size))
    assert out.shape == (2, 20, size[0] // 8, size[1] // 8)
    assert not out.any()


@pytest.mark.parametrize("form", FORMS)
def test_a_gaussian_start_gives_no_zero(form):
    assert hint_encoder(form, 3, 20, init="gaussian")(torch.rand(1, 3, 16, 16)).any()


@pytest.mark.parametrize("form", FORMS)
def test_every_pixel_and_channel_counts(form):
    torch.manual_seed(0)
    encoder = hint_encoder(form, 4, 6, init="gaussian").double()
    condition = torch.rand(1, 4, 16, 24, dtype=torch.float64, requires_grad=True)
    encoder(condition).square().sum().backward()
    assert condition.grad.ne(0).all()


def test_published_form_has_the_published_size():
    convs = [layer for layer in hint_encoder("published", 3, 320) if isinstance(layer, nn.Conv2d)]
    assert [conv.out_channels for conv in convs] == [16, 16, 32, 32, 96, 96, 256, 320]
    assert [conv.stride[0] for conv in convs] == [1, 1, 2, 1, 2, 1, 2, 1]
    assert {conv.kernel_size for conv in convs} == {(3, 3)}
    assert sum(p.numel() for conv in convs for p in conv.parameters()) == 1_086_480


def test_paper_form_has_the_paper_s_channels():
    convs = [layer for layer in hint_encoder("paper", 3, 320) if isinstance(layer, nn.Conv2d)]
    assert [conv.out_channels for conv in convs] == [16, 32, 64, 128, 320]
    assert [conv.kernel_size[0] for conv in convs] == [4, 4, 4, 4, 1]


def test_centred_pixels_keep_all_that_the_map_says():
    maps = torch.rand(2, 3, 16, 24, dtype=torch.float64)
    found = CentredUnshuffle(8)(maps)
    pixels, mean = found[:, :-3], found[:, -3:]
    assert pixels.shape == (2, 192, 2, 3) and pixels.mean(dim=(1, 2, 3)).abs().max() < 1e-12
    again = nn.functional.pixel_shuffle(pixels, 8) + mean.mean(dim=(2, 3), keepdim=True)
    torch.testing.assert_close(again, maps)


@pytest.mark.parametrize("form", FORMS)
def test_the_widths_decide_the_stride(form):
    assert hint_encoder(form, 3, 5, widths=(8, 8))(torch.rand(1, 3, 10, 6)).shape == (1, 5, 5, 3)


def test_latents_keep_their_size_and_every_one_counts():
    assert not hint_encoder("vae", 4, 20)(torch.rand(2, 4, 5, 9)).any()
    latents = torch.randn(1, 4, 5, 9, dtype=torch.float64, requires_grad=True)
    out = hint_encoder("vae", 4, 6, init="gaussian").double()(latents)
    assert out.shape == (1, 6, 5, 9)
    out.square().sum().backward()
    assert latents.grad.ne(0).all()
