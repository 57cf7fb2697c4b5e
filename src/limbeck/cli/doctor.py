"""``limbeck doctor``: what is here and what is missing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from limbeck.cli.speaking import DataRoot, Json, emit, say, table, use_data_root


def doctor(data_root: DataRoot = None, json_wanted: Json = False) -> None:
    """Tell versions, devices, threads, folders, and what each extra lacks. Changes nothing."""
    use_data_root(data_root)
    from limbeck.doctor import findings

    found = findings()
    if json_wanted:
        emit(found | {"extras": _extras(found["libraries"])})
        return
    _show(found)


def _show(found: Mapping[str, Any]) -> None:
    from limbeck.plan import size

    say(f"limbeck {found['limbeck']}, Python {found['python']}, {found['system']}\n")
    say("Libraries, those that limbeck needs and those that its extras bring:")
    _libraries("limbeck", [one for one in found["libraries"] if not one["extra"]])
    for extra, facts in _extras(found["libraries"]).items():
        of_it = [one for one in found["libraries"] if one["extra"] == extra]
        _libraries(extra, of_it)
        if facts["missing"]:
            say(f"    {facts['install']}")
    if not found["libraries"]:
        say("  limbeck runs from its source: pip install -e . makes known what it needs")
    say("\nDevices (choose one with --device):")
    for one in found["devices"]:
        memory = f", {size(one['free'])} of {size(one['memory'])} free" if "memory" in one else ""
        bf16 = {True: ", bf16", False: ", no bf16", None: ""}[one.get("bf16")]
        say(f"  {one['device']}: {one['name']}{memory}{bf16}")
    if "problem" in found:
        say(f"  {found['problem']}")
    told = dict(found["threads"])
    cores, usable = told.pop("cores"), told.pop("usable")
    said = "".join(f", {name}={value}" for name, value in told.items())
    say(f"Threads (--threads, 1 by default): {usable} of {cores} cores usable{said}")
    say(f"\n{_data_root(found['data_root'])}\n")
    rows = [
        (
            one["name"],
            one["path"],
            "yes" if one["exists"] else "not yet",
            "yes" if one["writable"] else "NO",
            size(one["free"]),
        )
        for one in found["folders"]
    ]
    table(("FOLDER OF", "PATH", "THERE", "WRITABLE", "FREE"), rows)


def _libraries(head: str, found: list[dict[str, Any]]) -> None:
    there = [f"{one['name']} {one['version']}" for one in found if one["state"] == "present"]
    say(f"  {head}: {', '.join(there) or 'nothing yet'}")
    lacking = [
        f"{one['name']}{one['wanted']}" + (f" (not {one['version']})" if one["version"] else "")
        for one in found
        if one["state"] != "present"
    ]
    if lacking:
        say(f"    lacks {', '.join(lacking)}")


def _extras(found: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """What each extra lacks and how it is brought."""
    names = dict.fromkeys(one["extra"] for one in found if one["extra"])
    return {
        name: {
            "missing": [
                one["name"] for one in found if one["extra"] == name and one["state"] != "present"
            ],
            "install": f"pip install 'limbeck[{name}]'",
        }
        for name in names
    }


def _data_root(found: Mapping[str, Any]) -> str:
    if found["path"] is None:
        return "Data root: none; LIMBECK_DATA or --data-root names a folder of data sets"
    if "problem" in found:
        return f"Data root: {found['path']} does not read ({found['problem']})"
    return f"Data root: {found['path']} ({', '.join(found['sets']) or 'no data set in it'})"
