"""Frozen dataclasses ↔ plain data (dicts, lists, numbers, text), checked against the type hints.

Reading is strict about types and bounds, skips unknown fields and fills missing ones from their
defaults; writing makes one canonical form, so that equal values give equal bytes. Both raise
``ProtocolError`` naming the place, and nothing else.
"""

from __future__ import annotations

import dataclasses
import math
import re
import types
from collections.abc import Callable, Mapping
from enum import Enum
from functools import cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from . import limits
from .errors import ProtocolError

T = TypeVar("T")
Reader = Callable[[Any, str], Any]
"""(plain value, place) → typed value."""
Writer = Callable[[Any, str], Any]
"""(typed value, place) → plain value."""

IDS = {
    "sha256": re.compile(r"[0-9a-f]{64}"),
    "job_id": re.compile(r"[0-9a-f]{32}"),
    "subject_id": re.compile(r"[0-9a-f]{32}|"),
}
"""Fields that hold ids have one form wherever they appear, so that no peer's text becomes a path.
An empty ``subject_id`` means no subject."""
_INT_MIN, _INT_END = -(2**63), 2**63


def from_plain(kind: type[T], value: object, place: str = "") -> T:
    """Read ``value`` as dataclass ``kind``.

    Raises:
        ProtocolError: a field is missing, of another type, out of bounds or not finite.
    """
    return _reader(kind)(value, place or kind.__name__)


def to_plain(value: object, *, omit_defaults: bool = False) -> dict[str, Any]:
    """A dataclass as plain data; with ``omit_defaults`` in the form that recipes are hashed in.

    Raises:
        ProtocolError: a field's value does not have its type, or is out of bounds.
    """
    return _writer(type(value), omit_defaults)(value, type(value).__name__)


@cache
def _reader(kind: Any) -> Reader:
    """The reader of one type, made once."""
    origin, arguments = get_origin(kind), get_args(kind)
    if kind in _SCALARS:
        return _SCALARS[kind]
    if dataclasses.is_dataclass(kind):
        return _dataclass_reader(kind)
    if origin is Literal:
        return lambda value, place: _choice(value, arguments, place)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return lambda value, place: kind(_choice(value, tuple(item.value for item in kind), place))
    if origin is tuple:
        return _tuple_converter(tuple(_reader(a) for a in arguments if a is not ...), ... in arguments, tuple)
    if origin is dict:
        return _dict_converter(_reader(arguments[1]))
    if origin in (Union, types.UnionType):
        return _optional_converter(_reader(_without_none(kind, arguments)))
    raise TypeError(f"{kind!r} has no form on the wire")


@cache
def _writer(kind: Any, omit_defaults: bool) -> Writer:
    """The writer of one type, made once. Scalars, choices and enums are checked as by a reader."""
    origin, arguments = get_origin(kind), get_args(kind)
    if dataclasses.is_dataclass(kind):
        return _dataclass_writer(kind, omit_defaults)
    if origin is tuple:
        return _tuple_converter(
            tuple(_writer(a, omit_defaults) for a in arguments if a is not ...), ... in arguments, list
        )
    if origin is dict:
        return _dict_converter(_writer(arguments[1], omit_defaults))
    if origin in (Union, types.UnionType):
        return _optional_converter(_writer(_without_none(kind, arguments), omit_defaults))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return lambda value, place: _choice(value, tuple(kind), place).value
    return _reader(kind)


def _dataclass_reader(kind: Any) -> Reader:
    hints = get_type_hints(kind)
    fields = [(field.name, _field_reader(field.name, hints[field.name]), _has_default(field)) for field in
              dataclasses.fields(kind)]  # fmt: skip

    def read(value: Any, place: str) -> Any:
        if type(value) is not dict:
            raise ProtocolError(f"{place} should be a map, not {_said(value)}.")
        found: dict[str, Any] = {}
        for name, reader, optional in fields:
            if name in value:
                found[name] = reader(value[name], f"{place}.{name}")
            elif not optional:
                raise ProtocolError(f"{place}.{name} is missing.")
        return kind(**found)

    return read


def _dataclass_writer(kind: Any, omit_defaults: bool) -> Writer:
    hints = get_type_hints(kind)
    fields = [(field, _field_writer(field.name, hints[field.name], omit_defaults)) for field in
              dataclasses.fields(kind)]  # fmt: skip

    def write(value: Any, place: str) -> dict[str, Any]:
        if type(value) is not kind:
            raise ProtocolError(f"{place} should be a {kind.__name__}, not {_said(value)}.")
        return {
            field.name: writer(getattr(value, field.name), f"{place}.{field.name}")
            for field, writer in fields
            if not (omit_defaults and _has_default(field) and getattr(value, field.name) == _default(field))
        }

    return write


def _field_reader(name: str, hint: Any) -> Reader:
    return _id_checker(name) if name in IDS else _reader(hint)


def _field_writer(name: str, hint: Any, omit_defaults: bool) -> Writer:
    return _id_checker(name) if name in IDS else _writer(hint, omit_defaults)


def _id_checker(name: str) -> Reader:
    form = IDS[name]

    def check(value: Any, place: str) -> str:
        if type(value) is not str or not form.fullmatch(value):
            raise ProtocolError(f"{place} should be lower-case hex digits of fixed number, not {_said(value)}.")
        return value

    return check


def _has_default(field: dataclasses.Field[Any]) -> bool:
    return field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING


def _default(field: dataclasses.Field[Any]) -> Any:
    return field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default


def _without_none(kind: Any, arguments: tuple[Any, ...]) -> Any:
    rest = [argument for argument in arguments if argument is not types.NoneType]
    if len(rest) != 1 or len(arguments) != 2:
        raise TypeError(f"{kind!r}: only `X | None` has a form on the wire")
    return rest[0]


def _tuple_converter(items: tuple[Reader, ...], any_length: bool, make: Callable[[Any], Any]) -> Reader:
    def convert(value: Any, place: str) -> Any:
        if type(value) not in (list, tuple):
            raise ProtocolError(f"{place} should be a list, not {_said(value)}.")
        if len(value) > limits.MAX_ITEMS or (not any_length and len(value) != len(items)):
            expected = f"at most {limits.MAX_ITEMS}" if any_length else str(len(items))
            raise ProtocolError(f"{place} has {len(value)} elements; {expected} are expected.")
        each = items * len(value) if any_length else items
        return make(item(one, place) for item, one in zip(each, value, strict=True))

    return convert


def _dict_converter(item: Reader) -> Reader:
    def convert(value: Any, place: str) -> dict[str, Any]:
        if not isinstance(value, Mapping) or len(value) > limits.MAX_ITEMS:
            raise ProtocolError(f"{place} should be a map of at most {limits.MAX_ITEMS}, not {_said(value)}.")
        return {
            _text(key, place): item(one, place) for key, one in sorted(value.items(), key=lambda pair: str(pair[0]))
        }

    return convert


def _optional_converter(item: Reader) -> Reader:
    return lambda value, place: None if value is None else item(value, place)


def _choice(value: Any, choices: tuple[Any, ...], place: str) -> Any:
    if not isinstance(value, str) or value not in choices:
        raise ProtocolError(f"{place} should be one of {', '.join(map(str, choices))}, not {_said(value)}.")
    return value


def _integer(value: Any, place: str) -> int:
    if type(value) is not int or not _INT_MIN <= value < _INT_END:
        raise ProtocolError(f"{place} should be a 64-bit integer, not {_said(value)}.")
    return value


def _number(value: Any, place: str) -> float:
    if type(value) is not int and not isinstance(value, float):
        raise ProtocolError(f"{place} should be a number, not {_said(value)}.")
    if abs(value) > 1e300 or not math.isfinite(value):  # compared first: a huge integer is no float
        raise ProtocolError(f"{place} should be a finite number, not {_said(value)}.")
    return float(value) + 0.0  # −0 becomes 0: the two are equal, so they must hash alike


def _truth(value: Any, place: str) -> bool:
    if type(value) is not bool:
        raise ProtocolError(f"{place} should be true or false, not {_said(value)}.")
    return value


def _text(value: Any, place: str) -> str:
    if type(value) is not str or len(value) > limits.MAX_TEXT_CHARS:
        raise ProtocolError(
            f"{place} should be text of at most {limits.MAX_TEXT_CHARS} characters, not {_said(value)}."
        )
    if not value.isascii() and any("\ud800" <= char <= "\udfff" for char in value):
        raise ProtocolError(f"{place} holds half a surrogate pair, which is no text.")
    return value


def _said(value: object) -> str:
    """A value in an error message, cut short: a peer chooses it."""
    if isinstance(value, str):
        return ascii(value[:40])
    if isinstance(value, bool | float | types.NoneType) or (isinstance(value, int) and abs(value) < 2**64):
        return repr(value)
    return f"a {type(value).__name__}"


_SCALARS: dict[Any, Reader] = {int: _integer, float: _number, bool: _truth, str: _text}
