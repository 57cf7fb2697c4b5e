"""Names are a prefix, the name proper and options."""

import pytest

from limbeck.errors import ArgumentError
from limbeck.naming import missing_inputs, split_name


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("digits", ("", "digits", {})),
        ("mlp?hidden=64x64", ("", "mlp", {"hidden": "64x64"})),
        ("timm:resnet18", ("timm", "resnet18", {})),
        ("timm:vit.a1_in1k?", ("timm", "vit.a1_in1k", {})),
        ("folder:./a b/c.d", ("folder", "./a b/c.d", {})),
        (
            "timm:x?pretrained=False&drop_rate=0.1&size=[8, 8]&act=none",
            ("timm", "x", {"pretrained": False, "drop_rate": 0.1, "size": [8, 8], "act": None}),
        ),
        ("digits?label=a:b", ("", "digits", {"label": "a:b"})),
        (
            "file:w.safetensors?network=timm:resnet18",
            ("file", "w.safetensors", {"network": "timm:resnet18"}),
        ),
        (
            "file:w.safetensors?network=mlp?hidden=8",
            ("file", "w.safetensors", {"network": "mlp?hidden=8"}),
        ),
        ("npz:C:/data/x.npz", ("npz", "C:/data/x.npz", {})),
        ("", ("", "", {})),
    ],
)
def test_names_are_taken_apart(name, parts):
    assert split_name(name) == parts


@pytest.mark.parametrize("name", ["mlp?hidden", "timm:x?a=1&hidden"])
def test_an_option_without_a_value_is_refused(name):
    with pytest.raises(ArgumentError, match="option 'hidden' has no value"):
        split_name(name)


def test_a_teacher_is_missed_unless_members_come_with_the_data():
    takes = ("teacher", "student", "data")
    assert missing_inputs(takes, {"data": "digits", "student": None}) == ["teacher", "student"]
    assert missing_inputs(takes, {"data": "oof:x.csv", "student": "mlp"}) == []
    assert missing_inputs(("data",), {}) == ["data"]
