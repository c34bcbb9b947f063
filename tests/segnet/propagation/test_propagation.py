import argparse
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import save_file
from torch.nn import functional

from gopseg.segnet import ModelError, parameter_count, resize_logits
from gopseg.segnet.flow.grid import flow_to_grid
from gopseg.segnet.propagation.files import (
    import_propagation,
    load_propagation,
    read_propagation_checkpoint,
    save_propagation,
)
from gopseg.segnet.propagation.grid_frames import FrameReducer, full_logits, reduce_to_grid, start_scores
from gopseg.segnet.propagation.head import PropagationHead
from gopseg.segnet.propagation.model import PropagationModel, with_validity
from gopseg.segnet.propagation.settings import PropagationSettings
from gopseg.tools.import_segnet import main as import_segnet

PUBLISHED = PropagationSettings.published(19)
CLEAN = PropagationSettings(classes=tuple("abcdefghijk"))


@torch.inference_mode()
def test_head_fingerprint(fill, draw, matches):
    head = fill(PropagationHead(PUBLISHED))
    step = head.repair(5 * draw(3, (1, 19, 96, 192)), draw(4, (1, 3, 96, 192)))
    matches(step.scores, (1, 19, 96, 192), "0.001606 1.541588 -4.930140 4.744291 1.2191 0.5671 -1.29503")


def test_sizes_are_the_published_ones():
    model = PropagationModel(PUBLISHED)
    assert len(model.head.state_dict()) == 59
    assert parameter_count(model.head) + model.head.ideal_dk.filter_copy_s.numel() == 210_085
    assert parameter_count(model) + 81 == 396_487
    assert parameter_count(PropagationModel(PropagationSettings.published(19, edges=False))) + 81 == 396_199


@pytest.fixture(scope="module")
def released(swnet_seq_file):
    return import_propagation(torch.load(swnet_seq_file, weights_only=True))


@torch.inference_mode()
def test_released_weights_give_the_golden_values(released, draw, matches):
    pair = draw(2, (1, 6, 96, 192))
    flow = released.flow.network(pair)
    matches(
        flow,
        (1, 2, 24, 48),
        "-0.276483 4.176045 -16.143400 12.479927 8.47103 6.96278 6.15624 | 0.55173 0.42532 0.58576",
    )
    displacement = released.flow(pair[:, :3], pair[:, 3:], (96, 192))
    torch.testing.assert_close(4 * displacement, flow_to_grid(flow, (96, 192), align_corners=True))
    step = released.head.step(5 * draw(3, (1, 19, 96, 192)), displacement, draw(4, (1, 3, 96, 192)))
    matches(
        step.warped,
        (1, 19, 96, 192),
        "0.003400 1.921091 -4.970881 4.951136 0.35241 -2.32075 1.00496 | -0.56364 -3.33374 -1.27551",
    )
    matches(
        step.scores,
        (1, 19, 96, 192),
        "0.017714 1.663779 -5.151803 5.530396 -1.19478 -1.11316 -0.7008 | -0.0138 0.19757 0.3997",
    )
    shares = [0.80489, 0.01022, 0.02009, 0.0125, 0.01973, 0.01029, 0.02482, 0.05193, 0.01769, 0.00002, 0.02781]
    torch.testing.assert_close(step.shares.mean((0, 2, 3)), torch.tensor(shares), atol=1e-5, rtol=0)
    assert step.edges.mean() == pytest.approx(0.99316, abs=1e-5)
    histogram = [
        523,
        763,
        540,
        937,
        1109,
        1206,
        1173,
        1439,
        737,
        1047,
        616,
        1062,
        1194,
        848,
        929,
        1058,
        1037,
        1128,
        1086,
    ]
    assert torch.bincount(step.scores.argmax(1).flatten()).tolist() == histogram


def test_released_weights_survive_our_file(released, tmp_path):
    assert released.settings == PUBLISHED
    assert released.head.guide.guide_conv[1].num_batches_tracked == 259_656
    file = tmp_path / "swnet-seq.safetensors"
    save_propagation(released, file, half=False)
    loaded = load_propagation(file)
    assert loaded.settings == released.settings
    for key, value in released.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[key], value, rtol=0, atol=0)
    save_propagation(released, file)
    assert file.stat().st_size < 1_000_000
    assert not loaded.training


def as_published(model):
    head = {f"module.grm.{key}": value for key, value in model.head.state_dict().items()}
    return {"state_dict": head, "state_dict_of": dict(model.flow.network.state_dict()), "epoch": 3}


@pytest.mark.parametrize("edges", [False, True])
def test_published_layout_of_any_class_count_is_imported(edges):
    model = PropagationModel(PropagationSettings.published(11, edges=edges))
    imported = import_propagation(as_published(model), keyframes="bisenet")
    assert len(imported.settings.classes) == 11
    assert (imported.settings.edges is None) is not edges
    assert imported.settings.mean[0] == pytest.approx(123.675)
    for key, value in model.state_dict().items():
        torch.testing.assert_close(imported.state_dict()[key], value)


def test_what_does_not_fit_is_named():
    checkpoint = as_published(PropagationModel(PUBLISHED))
    with pytest.raises(ModelError, match=r"state_dict_of.*has \['state_dict'\]"):
        import_propagation({"state_dict": checkpoint["state_dict"]})
    missing = {key: value for key, value in checkpoint["state_dict"].items() if "guide_decoder.1.bias" not in key}
    with pytest.raises(ModelError, match=r"guide_decoder\.1\.bias"):
        import_propagation({**checkpoint, "state_dict": missing})
    with pytest.raises(ModelError, match=r"lacks.*intra_net"):
        import_propagation({"state_dict": {}, "state_dict_of": {}})
    extra = {**checkpoint["state_dict_of"], "conv9.weight": torch.zeros(1)}
    with pytest.raises(ModelError, match=r"conv9\.weight"):
        import_propagation({**checkpoint, "state_dict_of": extra})


def test_another_motion_source_can_take_the_trained_ones_place(tmp_path):
    file = tmp_path / "head.safetensors"
    save_propagation(PropagationModel(replace(CLEAN, flow="light")), file)
    assert load_propagation(file).settings.flow == "light"
    for flow in ("motion", "dis", "none"):
        assert load_propagation(file, flow=flow).settings.flow == flow
    with pytest.raises(ModelError, match="motion by 'flownets'"):
        load_propagation(file, flow="flownets")
    with pytest.raises(ModelError, match="unknown motion source 'sonar'; there are: motion, light"):
        load_propagation(file, flow="sonar")
    save_propagation(PropagationModel(CLEAN), file)
    with pytest.raises(ModelError, match="motion by 'light'"):
        load_propagation(file, flow="light")
    save_file({"a": torch.zeros(1)}, file, {"architecture": "swiftnet18", "classes": "[]"})
    with pytest.raises(ModelError, match="no propagation model"):
        load_propagation(file)
    save_file({}, file, {"architecture": "", "classes": "", "kind": "propagation", "settings": '{"sails": 3}'})
    with pytest.raises(ModelError, match="settings that this version does not know: sails; update"):
        load_propagation(file)
    save_file({}, file, {"architecture": "", "classes": "", "kind": "propagation", "settings": "3"})
    with pytest.raises(ModelError, match="does not know: no settings"):
        load_propagation(file)


@pytest.mark.parametrize("settings", [PropagationSettings.published(11), replace(CLEAN, flow="light")])
@pytest.mark.parametrize("size_hw", [(720, 960), (94, 131), (33, 47)])
@torch.inference_mode()
def test_any_frame_size_and_class_count(settings, size_hw):
    model = PropagationModel(settings).eval()
    images = torch.randint(0, 256, (2, *size_hw, 3), dtype=torch.uint8)
    key_logits = torch.randn(1, 11, -(-size_hw[0] // 4), -(-size_hw[1] // 4))
    key, frame = model.prepare(images[:1]), model.prepare(images[1:])
    scores = model.start(key_logits, size_hw)
    grid_hw = settings.grid_hw(size_hw)
    rounding = 0 if settings.corner_aligned else 7
    assert grid_hw == ((size_hw[0] + rounding) // 8, (size_hw[1] + rounding) // 8)
    step = model.step(scores, frame, reference=key)
    assert step.scores.shape == (1, 11, *grid_hw)
    assert model.logits(step.scores, size_hw).shape == (1, 11, *size_hw)
    given = model.step(scores, frame, displacement=torch.zeros(1, *grid_hw, 2), validity=torch.ones(1, 1, *grid_hw))
    torch.testing.assert_close(given.warped, scores, atol=1e-4, rtol=0)


def test_a_new_clean_head_is_almost_a_warp_and_mixes_probabilities():
    torch.manual_seed(0)
    head = PropagationHead(CLEAN).eval()
    scores = torch.randn(2, 11, 20, 30).mul(3).softmax(1)
    step = head.step(scores, torch.randn(2, 20, 30, 2), torch.randn(2, 3, 20, 30))
    assert step.shares[:, 0].min() > 0.8
    torch.testing.assert_close(step.shares.sum(1), torch.ones(2, 20, 30))
    torch.testing.assert_close(step.scores.sum(1), torch.ones(2, 20, 30))
    assert step.shares.shape[1] == 10
    assert (step.scores.argmax(1) == step.warped.argmax(1)).float().mean() > 0.9


def test_outside_the_frame_are_zeros_as_published_or_the_border():
    scores, far = torch.rand(1, 11, 6, 8) + 1, torch.full((1, 6, 8, 2), 50.0)
    frame = torch.zeros(1, 3, 6, 8)
    published = PropagationHead(PropagationSettings.published(11)).eval().step(scores, far, frame)
    assert published.warped.abs().max() == 0
    clean = PropagationHead(CLEAN).eval().step(scores, far, frame)
    torch.testing.assert_close(clean.warped, scores[..., -1:, -1:].expand_as(scores))


def test_a_closed_published_kernel_gives_zeros_and_a_clean_one_cannot_close():
    scores, frame = torch.randn(1, 11, 6, 8), torch.randn(1, 3, 6, 8)
    for settings, closed in ((PropagationSettings.published(11), True), (CLEAN, False)):
        head = PropagationHead(settings).eval()
        torch.nn.init.zeros_(head.guide.guide_decoder[1].weight)
        torch.nn.init.constant_(head.guide.guide_decoder[1].bias, -1e3)
        assert (head.repair(scores, frame).scores.abs().max() == 0) == closed


def test_widening_for_validity_changes_nothing_until_trained(fill, draw):
    model = PropagationModel(PropagationSettings.published(5)).eval()
    fill(model.head)
    widened = with_validity(model)
    assert widened.settings.validity
    assert with_validity(widened) is widened
    scores, frame = 5 * draw(3, (1, 5, 12, 16)), draw(4, (1, 3, 12, 16))
    validity = draw(5, (1, 1, 12, 16)).abs()
    still = torch.zeros(1, 12, 16, 2)
    expected = model.head(scores, still, frame)
    torch.testing.assert_close(widened.head(scores, still, frame, validity), expected)
    torch.testing.assert_close(model.head(scores, still, frame, validity), expected)
    torch.nn.init.ones_(widened.head.guide.guide_conv[0].weight)
    unlike = widened.head(scores, still, frame, validity) - widened.head(scores, still, frame)
    assert unlike.abs().max() > 1e-3


def test_a_refining_head_sees_the_warped_scores_and_adds_evidence():
    torch.manual_seed(0)
    settings = replace(CLEAN, refining=True, stride=4, width=8)
    head = PropagationHead(settings).eval()
    assert settings.guides == 2 * 11 + 2
    warped, frame = torch.randn(1, 11, 12, 16).mul(3).softmax(1), torch.randn(1, 3, 12, 16)
    fresh = head.repair(warped, frame)
    assert fresh.shares[:, 0].min() > 0.8
    norm = head.guide.guide_decoder[1]
    assert norm.bias.shape == (10 + 11,)
    assert (fresh.scores.argmax(1) == warped.argmax(1)).float().mean() > 0.9
    torch.nn.init.constant_(norm.bias[10 + 7 : 10 + 8].data, 50.0)
    assert (head.repair(warped, frame).scores.argmax(1) == 7).all()
    trusted = torch.zeros(1, 1, 12, 16)
    trusted[..., 8:] = 1
    step = head.repair(warped, frame, trusted)
    assert (step.scores[..., :8].argmax(1) == 7).all()
    assert (step.scores[..., 8:].argmax(1) == warped[..., 8:].argmax(1)).float().mean() > 0.9
    torch.nn.init.constant_(norm.weight, 1.0)
    torch.nn.init.zeros_(norm.bias)
    assert (head.repair(warped, frame).scores - head.repair(warped.flip(1), frame).scores).abs().max() > 1e-4


def test_a_photometric_head_doubts_motion_that_colours_contradict():
    torch.manual_seed(0)
    model = PropagationModel(replace(CLEAN, photometric=True)).eval()
    images = torch.randint(0, 256, (1, 48, 64, 3)).float()
    key, frame = model.prepare(images), model.prepare(images.roll(16, 2))
    scores, grid_hw = torch.rand(1, 11, 6, 8), (6, 8)
    right = torch.zeros(1, *grid_hw, 2)
    right[..., 0] = -2
    doubts = [
        model.step(scores, frame, reference=key, displacement=motion).validity[..., 2:].mean()
        for motion in (right, -right)
    ]
    assert doubts[0] > 0.99
    assert doubts[1] < 0.9
    half = model.step(scores, frame, reference=key, displacement=right, validity=torch.full((1, 1, *grid_hw), 0.5))
    assert half.validity[..., 2:].max() <= 0.5
    with pytest.raises(ModelError, match="give its frame to `step`"):
        model.step(scores, frame, displacement=right)


def test_evidence_can_be_weakened_and_the_file_remembers(tmp_path):
    torch.manual_seed(0)
    model = PropagationModel(replace(CLEAN, refining=True)).eval()
    torch.nn.init.normal_(model.head.guide.guide_decoder[1].weight)
    scores, frame = torch.rand(1, 11, 6, 8).softmax(1), torch.randn(1, 3, 6, 8)
    full = model.head.repair(scores, frame).scores
    model.set_evidence(0)
    filtered = model.head.repair(scores, frame).scores
    model.set_evidence(0.5)
    half = model.head.repair(scores, frame).scores
    torch.testing.assert_close(half, (full * filtered).sqrt() / (full * filtered).sqrt().sum(1, keepdim=True))
    save_propagation(model, tmp_path / "head.safetensors")
    assert load_propagation(tmp_path / "head.safetensors").settings.evidence == 0.5


def test_lost_cells_are_mixed_with_their_nearest_known():
    torch.manual_seed(0)
    head = PropagationHead(CLEAN).eval()
    scores, frame, still = torch.rand(1, 11, 3, 4), torch.zeros(1, 3, 3, 4), torch.zeros(1, 3, 4, 2)
    nearest = torch.arange(12).view(1, 3, 4).clone()
    nearest[0, 1, 2] = 3
    warped = head.step(scores, still, frame, nearest=nearest).warped
    torch.testing.assert_close(warped[..., 1, 2], (scores[..., 1, 2] + scores[..., 0, 3]) / 2)
    torch.testing.assert_close(warped[..., 2, :], scores[..., 2, :])


def test_motion_is_needed_from_somewhere():
    model = PropagationModel(CLEAN).eval()
    frame = model.prepare(torch.zeros(1, 32, 32, 3))
    scores = torch.rand(1, 11, 4, 4)
    assert not model.needs_pictures
    with pytest.raises(ModelError, match="takes the codec's motion"):
        model.step(scores, frame, reference=frame)
    with pytest.raises(ModelError, match="reference's frame or a displacement"):
        model.step(scores, frame)
    with pytest.raises(ValueError, match="does not fit"):
        model.step(scores, frame, displacement=torch.zeros(1, 8, 8, 2))


def test_frames_are_reduced_by_sampling_as_published_or_by_means():
    images = torch.randint(0, 256, (1, 21, 34, 3), dtype=torch.uint8)
    settings = replace(CLEAN, mean=(1.0, 2.0, 3.0), std=(4.0, 5.0, 6.0))
    clean = FrameReducer(settings)(images)
    assert clean.shape == (1, 3, 3, 5)
    torch.testing.assert_close(clean[0, 1, 0, 1], (images[0, :8, 8:16, 1].float().mean() - 2) / 5)
    torch.testing.assert_close(clean[0, 2, 2, 4], (images[0, 16:, 32:, 2].float().mean() - 3) / 6)
    published = FrameReducer(PropagationSettings.published(2, mean=(1.0, 2.0, 3.0), std=(4.0, 5.0, 6.0)))(images)
    assert published.shape == (1, 3, 2, 4)
    torch.testing.assert_close(published[0, 0, 0, 0], (images[0, 0, 0, 2].float() - 3) / 6)
    torch.testing.assert_close(published[0, 2, -1, -1], (images[0, -1, -1, 0].float() - 1) / 4)


@pytest.mark.parametrize("size_hw", [(64, 96), (33, 47), (90, 131)])
@pytest.mark.parametrize("stride", [4, 8, 16])
def test_maps_at_any_stride_reach_the_grid_by_means(size_hw, stride):
    settings = replace(CLEAN, stride=stride)
    quarter = torch.rand(1, 2, -(-size_hw[0] // 4), -(-size_hw[1] // 4))
    reduced = reduce_to_grid(quarter, size_hw, settings)
    assert tuple(reduced.shape[-2:]) == settings.grid_hw(size_hw)
    side = stride // 4
    torch.testing.assert_close(reduced[0, 0, 1, 1], quarter[0, 0, side : 2 * side, side : 2 * side].mean())
    finer = reduce_to_grid(torch.rand(1, 2, 4, 4), (64, 64), settings)
    assert tuple(finer.shape[-2:]) == settings.grid_hw((64, 64))


def test_keyframes_keep_their_own_logits_in_the_clean_form():
    logits = torch.randn(1, 11, 16, 24)
    clean, published = PropagationModel(CLEAN), PropagationModel(PropagationSettings.published(11))
    torch.testing.assert_close(clean.keyframe_logits(logits, (64, 96)), resize_logits(logits, (64, 96)))
    squeezed = functional.interpolate(logits, size=(8, 12), mode="bilinear", align_corners=True)
    expected = functional.interpolate(squeezed, size=(64, 96), mode="bilinear", align_corners=True)
    torch.testing.assert_close(published.keyframe_logits(logits, (64, 96)), expected)


def test_probabilities_go_out_as_their_logarithms():
    logits = torch.randn(1, 11, 8, 8)
    scores = start_scores(logits, (64, 64), CLEAN)
    torch.testing.assert_close(scores, logits.softmax(1))
    out = full_logits(scores, (8, 8), CLEAN)
    torch.testing.assert_close(out, logits.log_softmax(1))
    assert full_logits(torch.zeros(1, 2, 4, 4), (8, 8), CLEAN).isfinite().all()


@pytest.mark.parametrize("settings", [PUBLISHED, CLEAN, PropagationSettings.published(["x", "y"], edges=False)])
def test_settings_survive_as_text(settings):
    assert PropagationSettings.from_json(settings.to_json(), Path("a")) == settings


def test_training_files_are_read_without_running_code(tmp_path):
    file, model = tmp_path / "gsvnet.tar", PropagationModel(PropagationSettings.published(11))
    torch.save({**as_published(model), "args": argparse.Namespace(lr=0.01), "best_pred": 0.7}, file)
    imported = import_propagation(read_propagation_checkpoint(file), names_by_count={11: list("ABCDEFGHIJK")})
    assert imported.settings.classes == tuple("ABCDEFGHIJK")
    torch.save({"state_dict": {}, "hook": print}, file)
    with pytest.raises(ModelError, match="cannot be read as a checkpoint"):
        read_propagation_checkpoint(file)
    torch.save([1], file)
    with pytest.raises(ModelError, match="but a list"):
        read_propagation_checkpoint(file)


def test_import_segnet_makes_a_file_of_ours(tmp_path):
    file, out = tmp_path / "swnet.pth.tar", tmp_path / "out" / "swnet-seq.safetensors"
    model = PropagationModel(PUBLISHED).eval()
    torch.save(as_published(model), file)
    arguments = [str(file), "--arch", "swnet-seq", "-o", str(out)]
    result = CliRunner().invoke(import_segnet, arguments)
    assert result.exit_code == 0, result.output
    assert "propagation of swnet-seq, 396,406 parameters, 19 classes" in result.output
    assert "--compat" not in result.output
    loaded = load_propagation(out)
    assert loaded.settings.classes[0] == "road"
    assert all(torch.equal(value, model.state_dict()[key]) for key, value in loaded.state_dict().items())
    assert json.loads(out.with_suffix(".json").read_text())["flow"] == "light"
    torch.save({"state_dict": {}}, file)
    result = CliRunner().invoke(import_segnet, [*arguments, "-y"])
    assert result.exit_code == 2
    assert "state_dict_of" in result.output
