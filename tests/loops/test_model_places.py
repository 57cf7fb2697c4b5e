"""Where models lie that packages bring, and what is said of packages that bring none."""

import pytest

from limbeck.errors import ModelError, UnknownNameError
from limbeck.loops.model_places import place_of


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Make an installed package of some empty files."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def made(name, *files):
        for file in ("__init__.py", *files):
            path = tmp_path / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("raise ImportError" if file == "__init__.py" else "{}")
        return tmp_path / name

    return made


def test_modules_come_before_a_configuration(package):
    root = package("whole", "config.json", "m/modules.json", "m/config.json", "m/1/config.json")
    assert place_of("package", "whole") == str(root / "m")
    root = package("body", "data/config.json", "data/deeper/config.json")
    assert place_of("package", "body") == str(root / "data")


def test_what_brings_no_model_is_told(package):
    package("plain_package")
    package("both", "a/modules.json", "b/modules.json")
    with pytest.raises(ModelError, match=r"brings no model: it holds no modules.json and no"):
        place_of("package", "plain-package")
    with pytest.raises(ModelError, match="several models, in a, b; give the folder of one"):
        place_of("package", "both")
    for name in ("not-there", "__main__", "a/b", ""):
        with pytest.raises(UnknownNameError, match="no installed package"):
            place_of("package", name)
    with pytest.raises(UnknownNameError, match="pip install not-there"):
        place_of("package", "not-there")
    with pytest.raises(UnknownNameError, match="there is no folder"):
        place_of("hf", "./not/there")
