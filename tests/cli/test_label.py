"""``limbeck label``: a file of frames becomes data to learn from."""

import json

from limbeck.data.names import resolve


def water(path, count=3):
    from ase.build import molecule
    from ase.io import write

    frames = []
    for place in range(count):
        frames.append(molecule("H2O"))
        frames[-1].rattle(0.05, seed=place)
    write(path, frames)


def test_sampled_frames_are_data_of_all_splits(tmp_path, limbeck):
    water(tmp_path / "water.xyz")
    command = ["label", "water.xyz", "--out", "out", "--json"]
    command += ["--picoseconds", "0.01", "--every", "0.001"]
    said = limbeck(*command)
    assert said.status == 0, said.err
    assert json.loads(said.out)["splits"] == {"train": 24, "valid": 3, "test": 6}
    data = resolve(f"xyz:{tmp_path / 'out' / 'data'}")
    assert (len(data.train), len(data.validation), len(data.test)) == (24, 3, 6)
    before = (tmp_path / "out" / "data" / "frames.xyz").read_bytes()
    assert limbeck(*command).status == 0
    assert (tmp_path / "out" / "data" / "frames.xyz").read_bytes() == before


def test_what_cannot_be_labelled_is_told(tmp_path, limbeck):
    water(tmp_path / "water.xyz", 1)
    said = limbeck("label", "water.xyz", "--out", "out", "--picoseconds", "0.001")
    assert said.status == 2
    assert "no frame would be kept" in said.err
    said = limbeck("label", "water.xyz", "--out", "out", "--source", "dft")
    assert "there is no label source 'dft'" in said.err
    said = limbeck("label", "none.xyz", "--out", "out")
    assert said.status != 0
    assert "none.xyz" in said.err
