"""Making: which files a new method has, and what stands in them at first."""

from __future__ import annotations

import ast
import json
import re
from dataclasses import dataclass
from importlib.resources import files as resources
from pathlib import Path
from string import Template

from limbeck import cards
from limbeck.errors import RunError, SettingsError, nearest

SLUG = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
METHODS = Path("src", "limbeck", "methods")
# Files of every method, below the root of a checkout, by the template that they begin as.
WRITTEN = {
    "README.md": METHODS / "$module" / "README.md",
    "claims.py": METHODS / "$module" / "claims.py",
    "paper-setting.toml": METHODS / "$module" / "presets" / "paper-setting.toml",
    "test.py": Path("tests", "methods", "test_$module.py"),
    "example.py": Path("examples", "$module.py"),
}
COPIED_PRESETS = ("tiny", "demo", "small")
EXTRA = "\n<!-- extra -->\n\nNeeds `{}`.\n\n<!-- /extra -->\n"


@dataclass(frozen=True)
class Plan:
    """What a new method is called and what it begins as.

    Args:
        slug: on the command line, lower case with hyphens.
        name: of the class.
        title: of the page.
        like: slug of the method whose class and presets it begins with.
    """

    slug: str
    name: str
    title: str
    like: str

    @classmethod
    def of(
        cls,
        slug: str,
        *,
        family: str | None = None,
        like: str | None = None,
        name: str | None = None,
        title: str | None = None,
    ) -> Plan:
        """Fill in what is not said: the shortest method of the family is what it begins as.

        Args:
            slug: on the command line.
            family: a family of methods that stand; ``"model"`` where neither is given.
            like: slug of a method.
            name: of the class; from the slug where absent.
            title: of the page; from the slug where absent.

        Raises:
            SettingsError: the slug is none or taken, the family or the method is unknown, or both
                are given and do not agree.

        Example:
            >>> Plan.of("my-way", like="kd").name
            'MyWay'
        """
        if not SLUG.fullmatch(slug):
            raise SettingsError(
                f"{slug!r} is no name of a method; expected lower case words joined by hyphens, "
                "such as meal-v2"
            )
        if slug in cards.slugs():
            raise SettingsError(f"there is a method {slug} already; choose another name")
        like = like or shortest(family or "model")
        own = cards.card(like).family
        if family not in (None, own):
            raise SettingsError(f"{like} is of the family {own}, not {family}; drop --family")
        words = slug.split("-")
        made = name or "".join(word.capitalize() for word in words)
        if not made.isidentifier() or not made[0].isupper():
            raise SettingsError(f"{made!r} is no name of a class; expected one such as MealV2")
        return cls(slug, made, title or " ".join(words).capitalize(), like)

    @property
    def module(self) -> str:
        """Name of its folder and file."""
        return self.slug.replace("-", "_")


def shortest(family: str) -> str:
    """Slug of the method of a family whose class has the shortest file.

    Raises:
        SettingsError: there is no such family.
    """
    known: dict[str, list[str]] = {}
    for slug in cards.slugs():
        known.setdefault(cards.card(slug).family, []).append(slug)
    if family not in known:
        raise SettingsError(f"there is no family {family!r}; {nearest(family, known)}")
    return min(known[family], key=lambda slug: (len(_source(slug).read_text()), slug))


def scaffold(plan: Plan, root: Path) -> list[Path]:
    """Write the files of a new method.

    Args:
        plan: what it is called and begins as.
        root: of a checkout.

    Returns:
        The files, below the root.

    Raises:
        RunError: the root is no checkout, or one of the files is there; nothing is written then.
    """
    if not (root / METHODS).is_dir():
        raise RunError(
            f"{root} is no checkout of limbeck: there is no {METHODS} in it; go to one, or name "
            "it with --out"
        )
    made = contents(plan)
    there = [str(path) for path in made if (root / path).exists()]
    if there:
        raise RunError(f"{', '.join(there)} exist already; choose another name, or delete them")
    for path, text in made.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return list(made)


def contents(plan: Plan) -> dict[Path, str]:
    """Text of every file of a new method, by its path below the root of a checkout."""
    card, folder = cards.card(plan.like), METHODS / plan.module
    words = {
        "slug": plan.slug,
        "module": plan.module,
        "name": plan.name,
        "title": plan.title,
        "family": card.family,
        "gives": card.gives,
        "extra": EXTRA.format(card.install) if card.extra else "",
        "inputs": "\n".join(f"| `{one}` | say what |" for one in card.takes),
        "settings": "\n".join(
            f"| `{one.name}` | {one.default} | say what |" for one in cards.settings_of(plan.like)
        ),
    }
    made = {folder / "__init__.py": f'"""{plan.title}."""\n', folder / "card.toml": _card(plan)}
    for file in sorted(card.folder.glob("*.py")):
        if file.stem not in ("__init__", "claims"):
            own = plan.module if file == _source(plan.like) else file.stem
            made[folder / f"{own}.py"] = _copied(plan, file)
    for preset in COPIED_PRESETS:
        file = card.folder / "presets" / f"{preset}.toml"
        made[folder / "presets" / file.name] = file.read_text()
    for template, path in WRITTEN.items():
        made[Path(Template(str(path)).substitute(words))] = _template(template).substitute(words)
    return made


def _card(plan: Plan) -> str:
    """The facts of the method it begins as, under its own name."""
    card = cards.card(plan.like)
    words = {
        "title": plan.title,
        "name": plan.name,
        "family": card.family,
        "takes": json.dumps(card.takes),
        "reads": json.dumps(card.reads),
        "gives": card.gives,
    }
    text = _template("card.toml").substitute(words)
    old = (card.folder / "card.toml").read_text()
    facts, table, tables = old.partition("\n\n[")
    copied = ("phases", "samples", "extra")
    kept = [f"{line}\n" for line in facts.splitlines() if line.startswith(copied)]
    return text + "".join(kept) + (f"\n[{tables}" if table else "")


def _copied(plan: Plan, file: Path) -> str:
    """A file of the method it begins as, with the names changed."""
    text = file.read_text()
    old = cards.card(plan.like)
    module = plan.like.replace("-", "_")
    text = text.replace(f'@method("{plan.like}")', f'@method("{plan.slug}")')
    text = text.replace(f"limbeck.methods.{module}.", f"limbeck.methods.{plan.module}.")
    text = re.sub(rf"\b{old.class_name}\b", plan.name, text)
    if file != _source(plan.like):
        return text
    head = ast.parse(text).body[0]
    assert isinstance(head, ast.Expr)
    said = f'"""{plan.name}: begun as a copy of {plan.like}; say in one sentence what it does."""'
    return "\n".join([said, *text.splitlines()[head.end_lineno :]]) + "\n"


def _source(slug: str) -> Path:
    return cards.card(slug).folder / f"{slug.replace('-', '_')}.py"


def _template(name: str) -> Template:
    return Template((resources(__package__) / "templates" / f"{name}.txt").read_text())
