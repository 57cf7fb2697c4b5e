"""A generator makes the same samples of a seed, whatever else is asked for, and survives saving."""

import json
import warnings

import pytest
import torch
from tests.products.generators import SPECS, made, nameless

from limbeck import load
from limbeck.data import from_arrays
from limbeck.data.centred import centred
from limbeck.data.names import resolve
from limbeck.errors import ArgumentError, CorruptFileError, ModelError
from limbeck.fingerprint import fingerprint
from limbeck.networks.names import build
from limbeck.products import Generator
from limbeck.products.generator import CHUNK, teachers
from limbeck.run import Run
from limbeck.run.exhibits import Sheet, read_exhibits, write_exhibits
from limbeck.samplers import FewStep


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Fewer samples and a judge of a moment: what is checked here is no quality."""
    for name, value in {"POINTS": 60, "IMAGES": 40, "LOOKED_AT": 80}.items():
        monkeypatch.setattr(f"limbeck.evaluate.generators.{name}", value)
    monkeypatch.setattr("limbeck.evaluate.judges.STEPS", 5)


@pytest.mark.parametrize("name", SPECS)
def test_a_seed_makes_the_same_samples_whatever_their_number(name):
    one = made(name)
    many = one.sample(7, seed=1)
    assert many.shape == (7, *one.network.shape)
    torch.testing.assert_close(one.sample(3, seed=1), many[:3], rtol=0, atol=1e-6)
    assert not torch.equal(one.sample(7, seed=2), many)


def test_samples_of_several_chunks_are_those_of_one(monkeypatch):
    whole = made().sample(9)
    monkeypatch.setattr("limbeck.products.generator.CHUNK", 4)
    torch.testing.assert_close(made().sample(9), whole, rtol=0, atol=1e-6)
    assert CHUNK > 9


def test_classes_go_round_or_are_given():
    one = made("images")
    assert torch.equal(one.sample(5), one.sample([0, 1, 2, 0, 1]))
    assert not torch.equal(one.sample([0, 0]), one.sample([0, 2]))
    assert torch.equal(one.sample(torch.tensor([2, 1])), one.sample([2, 1]))


def test_images_stay_in_their_range_and_points_where_they_are():
    pixels = made("images").sample(20)
    assert 0 <= float(pixels.min()) <= float(pixels.max()) <= 1
    shown = made("images").sample(20, as_bytes=True)
    assert shown.dtype == torch.uint8
    assert float((shown / 255 - pixels).abs().max()) < 0.003
    assert float(made("points").sample(200).abs().max()) > 1


def test_the_way_ends_at_the_sample():
    one = made("images")
    way = one.path(4, seed=3)
    assert list(way) == [1.0, 0.75, 0.5, 0.25]
    assert torch.equal(way[0.25], one.sample(4, seed=3))


@pytest.mark.parametrize(
    ("wanted", "said"),
    [(0, "0 samples"), ([], "expected one or more"), ([0, 2], "from 0 to 1"), ([-1], "from 0 to")],
)
def test_what_cannot_be_made_is_said(wanted, said):
    with pytest.raises(ArgumentError, match=said):
        made().sample(wanted)


def test_points_have_no_bytes():
    with pytest.raises(ArgumentError, match="no images"):
        made().sample(2, as_bytes=True)


@pytest.mark.parametrize("name", SPECS)
def test_what_is_saved_is_loaded(name, tmp_path):
    one = made(name, levels=(0.9, 0.5, 0.2), kind="ode")
    one.save(tmp_path / "first")
    again = load(tmp_path / "first")
    assert isinstance(again, Generator)
    assert again.sampler == one.sampler
    assert (again.space, again.classes) == (one.space, one.classes)
    assert fingerprint(again.tensors()) == fingerprint(one.tensors())
    assert torch.equal(again.sample(3), one.sample(3))
    again.save(tmp_path / "second")
    sums = [json.loads((tmp_path / n / "manifest.json").read_text()) for n in ("first", "second")]
    assert sums[0] == sums[1]


def test_what_a_method_changed_of_a_named_network_is_kept(tmp_path):
    one = made()
    one.network.schedule = type(one.network.schedule)("flow", shift=3.0)
    one.save(tmp_path / "product")
    assert load(tmp_path / "product").network.schedule.shift == 3.0


def test_a_network_of_ones_own_is_asked_for(tmp_path):
    one = made()
    nameless(one).save(tmp_path / "product")
    with pytest.raises(ModelError, match="pass a denoiser"):
        load(tmp_path / "product")
    empty = build("denoiser-mlp?width=8&depth=1", one.space, 2)
    assert torch.equal(load(tmp_path / "product", network=empty).sample(2), one.sample(2))
    with pytest.raises(ModelError, match="do not fit"):
        load(tmp_path / "product", network=build("denoiser-mlp?width=4", one.space, 2))


def test_a_changed_file_is_found(tmp_path):
    made().save(tmp_path / "product")
    facts = tmp_path / "product" / "product.json"
    facts.write_text(facts.read_text().replace("sde", "ode"))
    with pytest.raises(CorruptFileError):
        load(tmp_path / "product")


def test_one_line_tells_what_it_is():
    assert made().summary() == (
        "Denoiser: 562 parameters, samples of 2 in 4 evaluations at levels 1, 0.75, 0.5, 0.25 "
        "(sde), 2 classes"
    )


def test_the_guidance_that_was_learned_is_kept_and_told(tmp_path):
    one = made()
    guided = Generator(one.network, one.sampler, one.space, one.classes, learned=2.5)
    guided.save(tmp_path / "product")
    facts = json.loads((tmp_path / "product" / "product.json").read_text())
    assert facts["learned"] == {"guidance": 2.5, "null_condition": 2}
    again = load(tmp_path / "product")
    assert again.learned == 2.5
    assert again.summary().endswith("2 classes, learned with guidance 2.5 against class 2")
    for learned in (None, 1.0):
        plain = Generator(one.network, one.sampler, one.space, one.classes, learned=learned)
        assert plain.summary() == one.summary()


def test_guided_evaluations_count_twice():
    assert made(guidance=2.0).cost()["evaluations"] == 8
    cost = made("routed").cost()
    assert cost["parameters"] == 2 * made().cost()["parameters"]
    assert cost["macs"] == made().cost()["macs"]


def test_it_predicts_nothing():
    with pytest.raises(ModelError, match="limbeck sample"):
        made().predict()


def test_other_data_are_refused():
    one = made("images")
    x, y = torch.rand(60, 1, 8, 8), torch.arange(60) % 3
    fits = from_arrays(x, y, classes=one.classes)
    one.see(fits)
    with pytest.raises(ModelError, match="classes"):
        one.see(from_arrays(x, y, classes=("a", "b", "d")))
    with pytest.raises(ModelError, match="shape"):
        one.see(from_arrays(x[:, :, :4, :4], y, classes=one.classes))
    wide = from_arrays((x * 255).float(), y, classes=one.classes)
    with pytest.raises(ModelError, match="values from 0 to 1"):
        one.see(type(fits)(**{**vars(fits), "input_space": _wide(wide)}))


def _wide(data):
    space = data.input_space
    return type(space)(space.size, space.channels, range=(0.0, 255.0))


def test_a_generator_of_data_makes_them_centred():
    data = resolve("digits")
    network = build("denoiser-mlp?width=8", centred(data).input_space, data.outputs)
    one = Generator.of(network, FewStep(), data)
    assert one.space.mean == (0.5,)
    assert one.classes == data.classes


@pytest.mark.parametrize("name", ["ring8-2c", "swiss", "digits"])
def test_the_table_of_a_run_and_what_it_shows(name, tmp_path):
    data = resolve(name)
    network = build("denoiser-mlp?width=8&depth=1", centred(data).input_space, data.outputs)
    product, run = Generator.of(network, FewStep(), data), Run(tmp_path)
    write_exhibits(tmp_path, sheets=[Sheet("A table of the method's", ["a"], [["b"]])])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rows, drawn = product.compared(run, "few", teachers(network, data, 4, 1.0), {"data": data})
    assert drawn == {}
    assert [(row["name"], row["role"]) for row in rows] == [
        ("few", "product"),
        ("teacher in 4 steps", "baseline"),
        ("teacher in 50 steps", "teacher"),
        ("teacher in 1 step", "reference"),
        ("real samples", "reference"),
    ]
    _, sheets, galleries = read_exhibits(tmp_path)
    assert [one.title for one in sheets] == ["A table of the method's"]
    side, way = galleries
    assert side.columns == ["few", "teacher in 4 steps", "teacher in 50 steps", "real samples"]
    assert way.columns == ["level 1", "level 0.75", "level 0.5", "level 0.25"]
    assert len(side.rows) == {"ring8-2c": 3, "swiss": 1, "digits": 10}[name]
    assert product.measure(data)["quality"].keys() == rows[0]["quality"].keys()


def test_teachers_of_as_many_steps_stand_once():
    data = resolve("swiss")
    network = build("denoiser-mlp?width=8&depth=1", data.input_space, 1)
    assert list(teachers(network, data, 1, 1.0)) == [
        "teacher in 1 step",
        "teacher in 50 steps",
        "teacher in 4 steps",
    ]
    assert list(teachers(network, data, 50, 1.0))[:2] == [
        "teacher in 50 steps",
        "teacher in 100 steps",
    ]
