"""What a model returns is read whatever its form, and what cannot be read is refused."""

from collections import OrderedDict, namedtuple

import pytest
import torch
from torch import nn

from limbeck.data import Batch
from limbeck.errors import ModelError
from limbeck.outputs import Outputs, of, parse

LOGITS = torch.arange(6.0).reshape(2, 3)
BATCH = Batch({"id": torch.arange(2), "x": torch.ones(2, 4), "y": torch.tensor([0, 1])})


class Returning(nn.Module):
    """A model that returns what it was made with."""

    def __init__(self, returned):
        super().__init__()
        self.returned = returned

    def forward(self, x):
        return self.returned


class ModelOutput(OrderedDict):
    """As transformers has it: a mapping whose entries are attributes too."""

    def __init__(self, **entries):
        super().__init__({name: value for name, value in entries.items() if value is not None})
        self.__dict__.update(entries)


def test_a_tensor_is_logits():
    assert of(Returning(LOGITS), BATCH).logits is LOGITS


@pytest.mark.parametrize("kind", [tuple, list, namedtuple("Auxiliary", "logits side")._make])
def test_of_a_tuple_the_first_tensor_is_logits(kind):
    side = torch.ones(2)
    outputs = of(Returning(kind([LOGITS, side])), BATCH)
    assert outputs.logits is LOGITS
    assert outputs.read("extra.1") is side


def test_known_keys_of_a_mapping_are_read_and_the_others_are_extra():
    energy, forces, mask = torch.ones(2), torch.ones(2, 3), torch.zeros(2)
    returned = {"energy": energy, "forces": forces, "mask": mask, "note": "text"}
    outputs = of(Returning(returned), BATCH)
    assert outputs.logits is None
    assert outputs.read("energy") is energy
    assert outputs.read("forces") is forces
    assert outputs.read("extra.mask") is mask
    assert outputs.extra["note"] == "text"
    assert outputs.names() == ["energy", "forces", "extra.mask"]


def test_transformers_outputs_bring_numbered_hidden_states():
    states = tuple(torch.full((2, 5), float(n)) for n in range(3))
    maps = (torch.ones(2, 1, 5, 5),)
    returned = ModelOutput(loss=None, logits=LOGITS, hidden_states=states, attentions=maps)
    outputs = of(Returning(returned), BATCH)
    assert outputs.logits is LOGITS
    assert outputs.read("features.hidden_states.2") is states[2]
    assert outputs.read("features.attentions.0") is maps[0]
    assert not outputs.extra


@pytest.mark.parametrize(
    ("features", "paths"),
    [
        ({"stem": LOGITS}, ["features.stem"]),
        ([LOGITS, LOGITS], ["features.0", "features.1"]),
        (LOGITS, ["features.features"]),
    ],
)
def test_features_of_a_mapping_may_be_named_numbered_or_one(features, paths):
    outputs = of(Returning({"features": features}), BATCH)
    assert outputs.names() == paths
    assert outputs.read(paths[0]) is LOGITS


def test_outputs_pass_through():
    said = Outputs(scores=LOGITS)
    assert parse(said) is said


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        ({"output": LOGITS, "mask": LOGITS}, r"the keys output, mask.*return \{\"logits\": y\}"),
        ({"logits": None}, "the keys logits"),
        (None, "Returning returns a NoneType; expected a tensor of logits"),
        ((), "returns a tuple"),
        (("text", LOGITS), "returns a tuple"),
    ],
)
def test_what_holds_nothing_known_is_refused(returned, words):
    with pytest.raises(ModelError, match=words):
        of(Returning(returned), BATCH)


def test_an_unknown_output_suggests_the_nearest():
    said = Outputs(logits=LOGITS, features={"layer1": LOGITS})
    with pytest.raises(ModelError, match=r"no output 'features\.layer2'; did you mean features\."):
        said.read("features.layer2")
    for path in ("scores", "features", "extra.x", "names"):
        with pytest.raises(ModelError, match=f"no output '{path}'"):
            said.read(path)


class TwoModalities(nn.Module):
    def forward(self, image, text, mask=None):
        assert mask is None
        return image.sum(1, keepdim=True) + text


def test_a_batch_without_x_gives_the_columns_that_forward_names():
    batch = Batch({"text": torch.ones(2, 3), "image": torch.ones(2, 4), "y": torch.zeros(2)})
    assert of(TwoModalities(), batch).logits.tolist() == [[5.0] * 3] * 2


def test_no_name_in_common_is_refused():
    with pytest.raises(ModelError, match="forward takes image, text, mask and the batch has y"):
        of(TwoModalities(), Batch({"y": torch.zeros(2)}))


def test_asked_features_come_along_with_those_returned():
    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Linear(4, 3)

        def forward(self, x):
            return {"logits": self.body(x), "features": {"input": x}}

    model = Both()
    outputs = of(model, BATCH, features=["body"])
    assert torch.equal(outputs.read("features.body"), outputs.logits)
    assert torch.equal(outputs.read("features.input"), BATCH["x"])


def test_gradients_flow_through_logits_and_features():
    model = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3))
    outputs = of(model, BATCH, features=["0"])
    (outputs.logits.sum() + outputs.read("features.0").sum()).backward()
    assert all(one.grad is not None for one in model.parameters())


def test_inputs_take_the_precision_of_the_weights():
    assert of(nn.Linear(4, 3).double(), BATCH).logits.dtype == torch.float64
    assert of(nn.Linear(4, 3).bfloat16(), BATCH).logits.dtype == torch.bfloat16


def test_whole_numbers_stay_whole():
    model = nn.Sequential(nn.Embedding(5, 2), nn.Flatten(), nn.Linear(6, 3))
    assert of(model, Batch({"x": torch.tensor([[0, 1, 4]])})).logits.shape == (1, 3)
