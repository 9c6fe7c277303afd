"""The tree of options that a run has: sections of options, made from the pydantic models of its components."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from typing import Annotated, Any, TypeAlias

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

Key: TypeAlias = tuple[str, ...]
"""Where an option stands: `("policy", "hidden_sizes")`."""

REQUIRED = PydanticUndefined


@dataclass(frozen=True)
class Option:
    """One value that can be set. `default` is `REQUIRED` where there is none."""

    key: Key
    annotation: Any
    default: Any = REQUIRED
    model: type[BaseModel] | None = None

    @property
    def doc(self) -> str:
        """Its doc line: the field's description, else the string under the field."""
        if self.model is None:
            return ""
        declared = self.model.model_fields[self.key[-1]].description
        return " ".join((declared or attribute_docs(self.model).get(self.key[-1], "")).split())


@dataclass(frozen=True)
class Section:
    """A table of options.

    Args:
        key: where it stands; empty for the root.
        members: its options and tables, by name.
        open: whether names that are not in `members` are welcome (the keyword arguments of a Gymnasium env).
        default: the value of a nested model whose parent gives it one.
    """

    key: Key
    members: dict[str, Section | Option] = field(default_factory=dict)
    open: bool = False
    default: BaseModel | None = None

    def options(self) -> Iterator[Option]:
        """Every option in it and below."""
        for member in self.members.values():
            if isinstance(member, Option):
                yield member
            else:
                yield from member.options()


@lru_cache
def section_of(model: type[BaseModel], key: Key = ()) -> Section:
    """The options of a pydantic model; nested models become nested sections.

    Example:
        >>> from puffer_core.plan import VectorConfig
        >>> [".".join(option.key) for option in section_of(VectorConfig, ("vector",)).options()][:2]
        ['vector.num_envs', 'vector.mode']
    """
    return _section(model, key, None)


def _section(model: type[BaseModel], key: Key, default: BaseModel | None) -> Section:
    section = Section(key, open=model.model_config.get("extra") == "allow", default=default)
    for name, info in model.model_fields.items():
        value = _default(info) if default is None else getattr(default, name)
        nested = info.annotation
        if isinstance(nested, type) and issubclass(nested, BaseModel):
            given = value if isinstance(value, BaseModel) else None
            section.members[name] = _section(nested, (*key, name), given)
        else:
            section.members[name] = Option((*key, name), _annotation(info), value, model)
    return section


def _annotation(info: FieldInfo) -> Any:
    return Annotated[info.annotation, *info.metadata] if info.metadata else info.annotation


def _default(info: FieldInfo) -> Any:
    if info.default_factory is None:
        return info.default
    try:
        return info.get_default(call_default_factory=True)
    except TypeError:  # a factory that reads the fields before it: known only when the model is built
        return None


@lru_cache
def attribute_docs(model: type[BaseModel]) -> dict[str, str]:
    """The strings under the fields of a model, by name, those of its bases included.

    Python drops them, so they are read from the source; a model without source has none.
    """
    docs: dict[str, str] = {}
    for owner in reversed(model.__mro__):
        if not (issubclass(owner, BaseModel) and owner is not BaseModel):
            continue
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(owner)))
        except (OSError, TypeError, SyntaxError):
            continue
        body = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else []
        for statement, following in pairwise(body):
            if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                text = following.value if isinstance(following, ast.Expr) else None
                if isinstance(text, ast.Constant) and isinstance(text.value, str):
                    docs[statement.target.id] = text.value
    return docs
