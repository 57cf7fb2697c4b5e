"""Files that are whole or absent: temporary name, sync, rename; a checksum tells damage."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limbeck.errors import CorruptFileError, LimbeckError, RunError

if TYPE_CHECKING:
    from torch import Tensor

MANIFEST = "manifest.json"


def write_bytes(path: Path, content: bytes | memoryview) -> None:
    """Write a file so that other readers see the old content or the new, never a part.

    Args:
        path: where the content shall be; its folder is made if it is absent.
        content: all of it.

    Raises:
        RunError: the disk is full or the folder cannot be written; nothing is left behind.
    """
    with _replacing(path) as part, part.open("xb") as file:
        file.write(content)


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A temporary name to write to, which takes the place of a file when the block is done."""
    with spoken(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        part = _beside(path, "part")
        try:
            yield part
            with part.open("r+b") as file:
                os.fsync(file.fileno())
            os.replace(part, path)
        except BaseException:
            with contextlib.suppress(OSError):
                part.unlink()
            raise
        _sync_folder(path.parent)


def write_text(path: Path, content: str) -> None:
    """Write text as `write_bytes` does."""
    write_bytes(path, content.encode())


def write_json(path: Path, value: Any) -> None:
    """Write plain values as JSON, with their checksum in a hidden file beside it.

    Args:
        path: the file.
        value: plain values.

    Raises:
        RunError: the file cannot be written.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "table.json"
        >>> write_json(path, [{"accuracy": 0.5}])
        >>> read_json(path)
        [{'accuracy': 0.5}]
    """
    content = (json.dumps(value, indent=1) + "\n").encode()
    # The checksum first: a kill in between leaves no content that nothing tells of.
    write_text(checksum_file(path), _checksum(content) + "\n")
    write_bytes(path, content)


def read_json(path: Path) -> Any:
    """Read what `write_json` wrote; a file that never had a checksum must only read.

    Raises:
        CorruptFileError: the file is cut short or altered.
        RunError: there is no such file.
    """
    beside = checksum_file(path)
    try:
        content = path.read_bytes()
        if beside.is_file() and beside.read_text().strip() != _checksum(content):
            raise ValueError("its checksum differs")
        return json.loads(content)
    except FileNotFoundError:
        raise RunError(f"{path} does not exist") from None
    except (OSError, ValueError) as error:
        raise CorruptFileError(
            f"{path} is damaged ({error}); delete it and resume the run to have it made anew"
        ) from None


def stored_json(path: Path) -> Any:
    """What `write_json` wrote, or None where nothing whole is there and it is to be made anew."""
    try:
        return read_json(path)
    except RunError:
        return None


def checksum_file(path: Path) -> Path:
    """Where `write_json` keeps the checksum of a file."""
    return path.with_name(f".{path.name}.sum")


def append_text(path: Path, content: str) -> None:
    """Add to the end of a file, made if it is absent; a kill may leave a part of the last line.

    Raises:
        RunError: the disk is full or the file cannot be written.
    """
    with spoken(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            file.write(content)


def save_tensors(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, str]) -> None:
    """Write tensors and a few words about them as one safetensors file with a checksum inside.

    Args:
        path: the file.
        tensors: named tensors of any shape; tensors that share memory are written out each.
        facts: words to keep with them.

    Raises:
        RunError: the file cannot be written.
    """
    from safetensors.torch import save_file

    # A fresh copy of what shares memory or is a view: the format refuses aliases.
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    seen: set[int] = set()
    for name, tensor in whole.items():
        memory = tensor.untyped_storage().data_ptr()
        if memory in seen:
            whole[name] = tensor.clone()
        seen.add(memory)
    # The order of the metadata decides the bytes, so it is sorted.
    metadata = dict(sorted({**facts, "checksum": _tensor_checksum(whole, facts)}.items()))
    with _replacing(path) as part:
        # The writer has a temporary file of its own, which only its owner may read: in a folder
        # whose name says what it is, a kill leaves nothing that a later start would not sweep.
        room = _beside(path, "part")
        room.mkdir()
        part.touch()
        try:
            # Straight from the tensors: a model may be most of what the memory holds.
            save_file(whole, room / part.name, metadata=metadata)
            (room / part.name).chmod(part.stat().st_mode)
            os.replace(room / part.name, part)
        finally:
            shutil.rmtree(room, ignore_errors=True)
        _sort_header(part)


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read what `save_tensors` wrote.

    Args:
        path: the file.

    Returns:
        The tensors and the facts.

    Raises:
        CorruptFileError: the file is cut short or altered.
        RunError: there is no such file.
    """
    from safetensors.torch import load

    with _read_whole(path):
        content = path.read_bytes()
        tensors = load(content)
        length = int.from_bytes(content[:8], "little")
        facts = json.loads(content[8 : 8 + length]).get("__metadata__", {})
        return tensors, _checked(path, tensors, facts)


def map_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read what `save_tensors` wrote as `load_tensors` does, but leave the numbers on disk.

    The tensors are maps of the file: the system reads what is touched and may forget it again.
    """
    from safetensors import safe_open

    with _read_whole(path), safe_open(str(path), "pt") as opened:
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        return tensors, _checked(path, tensors, opened.metadata() or {})


@contextlib.contextmanager
def _read_whole(path: Path) -> Iterator[None]:
    """Say in plain words why a file of tensors does not read."""
    from safetensors import SafetensorError

    try:
        yield
    except FileNotFoundError:
        raise RunError(f"{path} does not exist") from None
    except (SafetensorError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise CorruptFileError(
            f"{path} is damaged ({error}); delete it to have it rebuilt"
        ) from None


def _checked(path: Path, tensors: Mapping[str, Tensor], facts: dict[str, str]) -> dict[str, str]:
    """The facts without the checksum, which must be that of the tensors and the facts."""
    if facts.pop("checksum") != _tensor_checksum(tensors, facts):
        raise CorruptFileError(
            f"{path} was altered: checksum differs; delete it to have it rebuilt"
        )
    return facts


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Fill a folder under a temporary name and put it in place whole, with a list of checksums.

    Args:
        path: where the folder shall be; an older one there is replaced.

    Yields:
        The temporary folder to write into.

    Raises:
        RunError: the disk is full or the place cannot be written; the old folder stays.
    """
    with spoken(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        part = _beside(path, "part")
        part.mkdir()
        try:
            yield part
            sums = {}
            for file in sorted(file for file in part.rglob("*") if file.is_file()):
                sums[file.relative_to(part).as_posix()] = _file_checksum(file)
                with file.open("rb") as opened:
                    os.fsync(opened.fileno())
            write_text(part / MANIFEST, json.dumps(sums, indent=1) + "\n")
            _sync_folder(part)
            if path.exists():
                old = _beside(path, "old")
                os.replace(path, old)
                try:
                    os.replace(part, path)
                except BaseException:
                    os.replace(old, path)
                    raise
                shutil.rmtree(old, ignore_errors=True)
            else:
                os.replace(part, path)
            _sync_folder(path.parent)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise


def link(source: str | Path, target: str | Path) -> None:
    """Put a file in a second place, without a second copy where both are on one disk.

    For files that are replaced and never changed, as all that this module writes.
    """
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def free_disk(path: Path) -> int:
    """Bytes that are free where a file or folder is, or would be made."""
    place = path.absolute()
    existing = next(one for one in (place, *place.parents) if one.is_dir())
    return shutil.disk_usage(existing).free


def check_folder(path: Path) -> None:
    """Raise `CorruptFileError` unless a folder holds exactly what `new_folder` put there."""
    try:
        sums = dict(json.loads((path / MANIFEST).read_bytes()))
    except (OSError, ValueError, TypeError):
        raise CorruptFileError(f"{path} has no readable {MANIFEST}: it is not whole") from None
    for name, checksum in sums.items():
        file = path / name
        if not file.is_file() or _file_checksum(file) != checksum:
            raise CorruptFileError(f"{file} is missing or was altered")
    for file in path.rglob("[!.]*"):
        name = file.relative_to(path).as_posix()
        if file.is_file() and name not in (*sums, MANIFEST):
            raise CorruptFileError(f"{file} was not written with the rest of its folder")


def _tensor_checksum(tensors: Mapping[str, Tensor], facts: Mapping[str, str]) -> str:
    from limbeck.fingerprint import fingerprint

    return fingerprint(dict(tensors), dict(facts))


def _sort_header(path: Path) -> None:
    """Sort the header of a safetensors file in place: the writer leaves it in hash order."""
    with path.open("r+b") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
        text = json.dumps(
            {name: dict(sorted(value.items())) for name, value in sorted(header.items())},
            separators=(",", ":"),
            ensure_ascii=False,
        ).encode()
        file.seek(8)
        # The same words in another order, and spaces behind them as before.
        file.write(text.ljust(length))


def _beside(path: Path, suffix: str) -> Path:
    """A name of its own in the same folder: unlike tempfile's, with the usual permissions."""
    return path.with_name(f".{path.name}.{os.urandom(4).hex()}.{suffix}")


def _file_checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _checksum(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def _sync_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def spoken(path: Path) -> Iterator[None]:
    """Say in plain words why a path cannot be written."""
    try:
        yield
    except Exception as error:
        number = _system_error(error)
        if isinstance(error, LimbeckError) or not (number or isinstance(error, OSError)):
            raise
        if number in (errno.ENOSPC, errno.EDQUOT):
            raise RunError(
                f"the disk is full: {path} was not written and nothing half-written is left; "
                "free space and give the command again (a run goes on with: limbeck resume RUN)"
            ) from error
        reason = os.strerror(number) if number else str(error)
        raise RunError(
            f"{path} cannot be written ({reason}); choose another folder with --out"
        ) from error


def _system_error(error: Exception) -> int | None:
    """The system's number of an error; writers in other languages tell it in words."""
    if isinstance(error, OSError):
        return error.errno
    told = re.search(r"\(os error (\d+)\)", str(error))
    return int(told[1]) if told else None
