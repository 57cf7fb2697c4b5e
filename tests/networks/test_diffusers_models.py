"""Models that diffusers wrote say the same here, under the schedule they were written with."""

import json
import pickle

import pytest
import torch

from limbeck.data.space import InputSpace
from limbeck.errors import ArgumentError, ModelError, UnusualUseWarning
from limbeck.networks import NoiseSchedule
from limbeck.networks.diffusers_models import diffusers_folder
from limbeck.networks.diffusers_schedules import told_by
from limbeck.networks.making import weights_of
from limbeck.networks.names import build, structure

diffusers = pytest.importorskip("diffusers")

CENTRED = InputSpace((8, 8), 1, (0.5,), (0.5,))
DDIM = diffusers.DDIMScheduler
FLOW = diffusers.FlowMatchEulerDiscreteScheduler


def unet(classes=None, **options):
    torch.manual_seed(0)
    known = {
        "sample_size": 8,
        "in_channels": 1,
        "out_channels": 1,
        "block_out_channels": (8, 16),
        "down_block_types": ("DownBlock2D",) * 2,
        "up_block_types": ("UpBlock2D",) * 2,
        "layers_per_block": 1,
        "norm_num_groups": 8,
        "num_class_embeds": classes,
    }
    return diffusers.UNet2DModel(**known | options).eval()


def pipeline(folder, scheduler, model=None):
    diffusers.DDIMPipeline(unet(), DDIM()).save_pretrained(folder)
    # A pipeline makes a DDIM scheduler of any other, so what is wanted is written over it.
    scheduler.save_pretrained(folder / "scheduler")
    (model or unet()).save_pretrained(folder / "unet")
    return f"hf:{folder}"


@pytest.fixture(name="x")
def noised():
    torch.manual_seed(1)
    return torch.randn(3, 1, 8, 8)


@pytest.mark.parametrize("kind", ["epsilon", "sample", "v_prediction"])
@pytest.mark.parametrize("betas", ["linear", "scaled_linear", "squaredcos_cap_v2"])
def test_a_ddim_pipeline_says_what_diffusers_says(kind, betas, x, tmp_path):
    scheduler = DDIM(prediction_type=kind, beta_schedule=betas, clip_sample=False)
    denoiser = build(pipeline(tmp_path, scheduler), CENTRED, 10).eval()
    assert denoiser.schedule.kind == "vp"
    assert (denoiser.conditions, weights_of(denoiser)) == (0, "brought")
    scheduler.set_timesteps(4)
    for step in (249, 749):
        with torch.no_grad():
            said = unet()(x, step).sample
            found = denoiser(x, (step + 1) / 1000)
            guess = denoiser.predict(x, (step + 1) / 1000)
        torch.testing.assert_close(found, said)
        known = scheduler.step(said, step, x).pred_original_sample
        torch.testing.assert_close(guess, known, rtol=1e-4, atol=1e-4)


def test_a_flow_pipeline_says_what_diffusers_says(x, tmp_path):
    scheduler = FLOW(shift=3.0)
    denoiser = build(pipeline(tmp_path, scheduler), CENTRED, 10).eval()
    assert denoiser.schedule == NoiseSchedule(shift=3.0, units="steps")
    assert denoiser.prediction == "flow"
    scheduler.set_timesteps(4, sigmas=[1.0, 0.75, 0.5, 0.25])
    state, levels = x, (1.0, 0.75, 0.5, 0.25, 0.0)
    for number, step in enumerate(scheduler.timesteps):
        with torch.no_grad():
            said = unet()(state, step).sample
            found = denoiser(state, levels[number])
            guess = denoiser.predict(state, levels[number])
        torch.testing.assert_close(found, said)
        (_, sigma), (_, below) = map(denoiser.alpha_sigma, levels[number : number + 2])
        after = scheduler.step(said, step, state).prev_sample
        # A straight step on is what is left of the way to the guess.
        torch.testing.assert_close(
            after, (guess + (below / sigma) * (state - guess)).float(), rtol=1e-4, atol=1e-4
        )
        state = after


def test_an_edm_model_is_preconditioned(x, tmp_path):
    scheduler = diffusers.EDMEulerScheduler(sigma_data=0.6)
    denoiser = build(pipeline(tmp_path, scheduler), CENTRED, 10).eval()
    assert (denoiser.schedule.kind, denoiser.precondition) == ("edm", 0.6)
    sigma = denoiser.alpha_sigma(0.4)[1].float()
    inside = scheduler.precondition_inputs(x, sigma)
    with torch.no_grad():
        said = unet()(inside, scheduler.precondition_noise(sigma)).sample
        torch.testing.assert_close(
            denoiser(x, 0.4), scheduler.precondition_outputs(x, said, sigma), rtol=1e-4, atol=1e-5
        )


def test_class_embeddings_are_conditions_with_the_last_for_none(x, tmp_path):
    denoiser = build(pipeline(tmp_path, FLOW(), unet(classes=4)), CENTRED, 3).eval()
    assert (denoiser.conditions, denoiser.null) == (3, 3)
    with torch.no_grad():
        for condition, ids in ((torch.tensor([0, 2, 1]),) * 2, (None, torch.full((3,), 3))):
            said = unet(classes=4)(x, 500.0, class_labels=ids).sample
            torch.testing.assert_close(denoiser(x, 0.5, condition), said)
    with pytest.raises(ModelError, match="embeddings of 3 classes .* the data has 4 classes"):
        build(f"hf:{tmp_path}", CENTRED, 4)


def test_a_model_folder_needs_a_scheduler_or_words(x, tmp_path):
    unet().save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="has no scheduler_config.json, so its noise is unknown"):
        build(f"hf:{tmp_path}", CENTRED, 1)
    denoiser = build(f"hf:{tmp_path}?schedule=flow&prediction=x0&shift=2", CENTRED, 1)
    assert denoiser.schedule == NoiseSchedule(shift=2.0, units="steps")
    assert denoiser.prediction == "x0"
    FLOW(shift=5.0).save_pretrained(tmp_path)
    assert build(f"hf:{tmp_path}", CENTRED, 1).schedule.shift == 5


def test_a_transformer_that_takes_classes_is_read(x, tmp_path):
    torch.manual_seed(0)
    model = diffusers.DiTTransformer2DModel(
        num_attention_heads=2,
        attention_head_dim=8,
        in_channels=1,
        out_channels=2,
        num_layers=1,
        sample_size=8,
        num_embeds_ada_norm=3,
    ).eval()
    model.save_pretrained(tmp_path)
    DDIM().save_pretrained(tmp_path)
    denoiser = build(f"hf:{tmp_path}", CENTRED, 3)
    ids = torch.tensor([0, 2, 3])
    with torch.no_grad():
        # In training too no label is dropped, and what it says of variances is left out.
        found = denoiser.train()(x, 0.25, ids)
        said = model(x, torch.tensor([249] * 3), class_labels=ids).sample
    torch.testing.assert_close(found, said[:, :1])


@pytest.mark.parametrize("told", [True, False])
def test_what_is_written_beside_rebuilds_it(told, x, tmp_path):
    source, product = tmp_path / "source", tmp_path / "product"
    product.mkdir()
    if told:
        name = pipeline(source, FLOW(shift=3.0), unet(classes=4))
    else:
        unet(classes=4).save_pretrained(source)
        name = f"hf:{source}?schedule=vp&prediction=eps"
    denoiser = build(name, CENTRED, 3)
    denoiser.network.write_beside(product)
    assert str(tmp_path) not in "".join(one.read_text() for one in product.iterdir())
    again = build(structure(name), CENTRED, 3, stored=product)
    assert not weights_of(again)
    again.load_state_dict(denoiser.state_dict())
    assert repr(again) == repr(denoiser)
    for other in (again, pickle.loads(pickle.dumps(denoiser))):
        assert torch.equal(other(x, 0.4), denoiser(x, 0.4))


def written(scheduler, **changes):
    return {"_class_name": type(scheduler).__name__, **scheduler.config, **changes}


@pytest.mark.parametrize(
    ("config", "schedule", "prediction"),
    [
        (
            written(diffusers.DDPMScheduler(beta_schedule="scaled_linear", beta_start=1e-3)),
            NoiseSchedule("vp", betas="scaled_linear", beta_start=1e-3, units="steps"),
            "eps",
        ),
        (
            written(
                diffusers.DPMSolverMultistepScheduler(
                    prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
                )
            ),
            NoiseSchedule(shift=3.0, units="steps"),
            "flow",
        ),
        (
            written(FLOW(use_dynamic_shifting=True, shift=3.0)),
            NoiseSchedule(units="steps"),
            "flow",
        ),
        (written(diffusers.LCMScheduler()), None, "eps"),
        (written(diffusers.EulerDiscreteScheduler(prediction_type="v_prediction")), None, "v"),
    ],
)
def test_schedulers_tell_noise_and_prediction(config, schedule, prediction):
    told = told_by(config, "hf:it")
    assert told.prediction == prediction
    if schedule is not None:
        assert told.schedule == schedule


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (written(DDIM(), prediction_type="noise"), "prediction_type is 'noise', expected one of"),
        (
            written(DDIM(), prediction_type="flow_prediction"),
            "prediction_type='flow_prediction' and use_flow_sigmas=False, which contradict",
        ),
        (
            written(diffusers.UniPCMultistepScheduler(), use_flow_sigmas=True),
            "prediction_type='epsilon' and use_flow_sigmas=True, which contradict",
        ),
        (written(DDIM(), beta_schedule="sigmoid"), "beta_schedule is 'sigmoid'"),
        (written(DDIM(), trained_betas=[0.1]), r"has trained_betas=\[0.1\]"),
        (written(DDIM(), rescale_betas_zero_snr=True), "has rescale_betas_zero_snr=True"),
        (written(FLOW(), invert_sigmas=True), "has invert_sigmas=True"),
        (
            written(diffusers.EDMEulerScheduler(), prediction_type="v_prediction"),
            "prediction_type='v_prediction', expected 'epsilon'",
        ),
        ({"_class_name": "ScoreSdeVeScheduler"}, "the noise of a ScoreSdeVeScheduler is not known"),
    ],
)
def test_unknown_and_contradicting_schedulers_are_refused(config, words):
    with pytest.raises(ModelError, match=words):
        told_by(config, "hf:it")


def test_options_that_contradict_the_scheduler_are_refused(tmp_path):
    name = pipeline(tmp_path, DDIM())
    assert build(f"{name}?prediction=eps&schedule=vp", CENTRED, 1).prediction == "eps"
    with pytest.raises(ModelError, match="prediction is 'v' and its DDIMScheduler says 'eps'"):
        build(f"{name}?prediction=v", CENTRED, 1)
    with pytest.raises(ModelError, match="schedule is 'flow' and its DDIMScheduler says 'vp'"):
        build(f"{name}?schedule=flow", CENTRED, 1)
    with pytest.raises(ArgumentError, match="has no option 'predictoin'; did you mean prediction"):
        build(f"{name}?predictoin=v", CENTRED, 1)


def test_models_and_data_that_do_not_fit_are_refused(tmp_path):
    name = pipeline(tmp_path, DDIM())
    with pytest.raises(ModelError, match=r"of shape \(1, 8, 8\) and inputs have shape \(3, 8, 8\)"):
        build(name, InputSpace((8, 8), 3), 1)
    with pytest.warns(UnusualUseWarning, match="expects images from -1 to 1 and reads .* 0 to 1"):
        build(name, InputSpace((8, 8), 1), 1)
    unet(class_embed_type="timestep").save_pretrained(tmp_path / "unet")
    with pytest.raises(ModelError, match="class_embed_type='timestep', expected None"):
        build(name, CENTRED, 1)
    unet().save_pretrained(tmp_path / "unet", safe_serialization=False)
    (tmp_path / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(ModelError, match="only weights in safetensors are read"):
        build(name, CENTRED, 1)


def change(path, **facts):
    path.write_text(json.dumps(json.loads(path.read_text()) | facts))


def test_models_of_other_kinds_are_refused(tmp_path):
    name = pipeline(tmp_path, DDIM())
    config, index = tmp_path / "unet" / "config.json", tmp_path / "model_index.json"
    change(config, _class_name="UNet2DConditionModel")
    with pytest.raises(ModelError, match="is a UNet2DConditionModel, expected one of UNet2DModel"):
        build(name, CENTRED, 1)
    change(index, text_encoder=["transformers", "CLIPTextModel"])
    with pytest.raises(ModelError, match="is a DDIMPipeline, which is told texts"):
        build(name, CENTRED, 1)
    change(tmp_path / "scheduler" / "scheduler_config.json", _class_name="NoScheduler")
    change(config, _class_name="UNet2DModel")
    change(index, text_encoder=[None, None])
    with pytest.raises(ModelError, match="diffusers has no scheduler 'NoScheduler'"):
        build(name, CENTRED, 1)
    config.unlink()
    with pytest.raises(ModelError, match="without a folder unet or transformer"):
        build(name, CENTRED, 1)


def test_other_folders_are_not_taken_for_those_of_diffusers(tmp_path, monkeypatch):
    assert diffusers_folder(str(tmp_path), None) is None
    (tmp_path / "config.json").write_text('{"model_type": "vit"}')
    assert diffusers_folder(str(tmp_path), None) is None
    assert diffusers_folder("vit", None) is None
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert diffusers_folder("nobody/has-this-one", None) is None


def test_a_hub_is_asked_for_safetensors_alone(tmp_path, monkeypatch):
    pipeline(tmp_path, DDIM())
    asked = {}

    def download(name, file):
        assert name == "someone/theirs"
        return str(tmp_path / file)

    def snapshot(name, **chosen):
        asked.update(chosen)
        return str(tmp_path)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    denoiser = build("hf:someone/theirs", CENTRED, 1)
    assert denoiser.prediction == "eps"
    assert "*.bin" in asked["ignore_patterns"]
