"""How values are pickled that a builtin pickler does not know, or knows only as something hollow."""

from __future__ import annotations

import copyreg
import functools
import gc
import logging
import sys
import types
import typing
import weakref
from collections.abc import Callable, Container
from typing import Any, Final

from sandbank_runner.interpreter.checkpoints import rebuild
from sandbank_runner.interpreter.checkpoints.arrays import Arrays, is_array_of_class
from sandbank_runner.interpreter.checkpoints.definitions import (
    Definitions,
    is_enumeration,
    reduce_code,
    reduce_member,
)
from sandbank_runner.interpreter.checkpoints.graph import Graph
from sandbank_runner.interpreter.checkpoints.steps import Step
from sandbank_runner.interpreter.checkpoints.unsavable import (
    Unsavable,
    has_own_pickle,
    hollow_bases,
    reason_of,
)
from sandbank_runner.interpreter.reading.kinds import contents_of, derives, genuine, identity, mro_of
from sandbank_runner.interpreter.sealed import seal

seal(globals())

_Function, _Module = types.FunctionType, types.ModuleType
_get_referents = gc.get_referents
_modules = sys.modules
_module_names: Any = vars(types.ModuleType)["__dict__"].__get__
_referent: Any = weakref.ReferenceType.__call__
_callback_of: Any = weakref.ReferenceType.__dict__["__callback__"].__get__
_views: Final[Any] = (
    (type({}.keys()), dict.keys),
    (type({}.values()), dict.values),
    (type({}.items()), dict.items),
)
_VIEWS: Final[dict[int, Any]] = {identity(kind): maker for kind, maker in _views}
_type_module: Any = type.__dict__["__module__"].__get__
_STANDARD: Final = sys.stdlib_module_names - {"builtins", "__main__"}
PROTOCOL: Final = 5
_UNKNOWN: Final = object()
_USUAL: Final = object()


class NeedsFirst(BaseException):
    """A definition is needed whose variable was not saved yet: only the pickle shows it. The text is its name."""


class Rules:
    """The rules for one group, whose variables are ``names``; ``lost`` and ``saved`` are what others came to."""

    def __init__(
        self,
        graph: Graph,
        names: frozenset[str],
        lost: dict[str, str],
        saved: Container[str],
        add_buffer: Callable[[memoryview], None],
    ) -> None:
        self.uses: set[str] = set()
        self._graph = graph
        self._names = names
        self._lost = lost
        self._saved = saved
        self._bases = hollow_bases()
        definitions = Definitions(graph.anchors)
        self._definitions = definitions
        self._verdicts: dict[int, Any] = {
            identity(Step): lambda step: step.reduced,
            identity(_Function): self._function,
            identity(types.CodeType): reduce_code,
            identity(types.CellType): definitions.reduce_cell,
            identity(types.MappingProxyType): _reduce_proxy,
            identity(property): _reduce_property,
            identity(staticmethod): lambda value: (staticmethod, (value.__func__,)),
            identity(classmethod): lambda value: (classmethod, (value.__func__,)),
            identity(functools.cached_property): _reduce_cached_property,
            identity(type(functools.lru_cache(None)(_reduce_proxy))): self._cache,
            identity(typing.TypeVar): self._type_variable,
            identity(typing.ParamSpec): self._type_variable,
            identity(typing.NewType): self._new_type,
            identity(logging.Logger): _reduce_logger,
            identity(logging.RootLogger): _reduce_logger,
            identity(weakref.ReferenceType): self._reference,
            identity(weakref.WeakSet): self._weak_set,
            identity(weakref.WeakKeyDictionary): self._weak_keys,
            identity(weakref.WeakValueDictionary): self._weak_values,
        }
        self._verdicts.update(dict.fromkeys(_VIEWS, _reduce_view))
        arrays = self._arrays = Arrays(graph.looked_at, add_buffer)
        self._verdicts[identity(memoryview)] = arrays.reduce_view
        array = genuine("numpy", "ndarray")
        if array is not None:
            self._verdicts[identity(array)] = arrays.reduce_array

    def begin_anew(self) -> None:
        """Forget what was pickled."""
        self._definitions.begin_anew()

    def reduce(self, value: Any) -> Any:
        """Say how a value is pickled; NotImplemented: as usual. Raises :class:`Unsavable`."""
        kind = type(value)
        key = identity(kind)
        verdict = self._verdicts.get(key, _UNKNOWN)
        if verdict is _UNKNOWN:
            verdict = self._verdicts[key] = self._judge(kind)
        if verdict is _USUAL:
            return NotImplemented
        streams = self._graph.anchors.streams
        if identity(value) in streams:
            return rebuild.place, streams[identity(value)]
        if type(verdict) is str:
            raise Unsavable(verdict)
        return verdict(value)

    def _judge(self, kind: Any) -> Any:
        """Return a rule, the reason why there is none, or that it is pickled as usual."""
        if issubclass(kind, type):
            return self._class
        if issubclass(kind, _Module):
            return self._module
        reason = reason_of(kind, self._bases)
        if reason is not None and not has_own_pickle(kind, self._bases):
            return f"{reason} cannot be saved"
        if derives(kind, weakref.ReferenceType):
            return "a weak reference of a class of its own cannot be saved"
        rule = self._rule_of_base(kind)
        if rule is not None:
            return rule
        singles = _singles(kind)
        if singles:
            return lambda value: singles.get(identity(value), NotImplemented)
        if type(kind) is not type:
            return _reduce_by_itself  # a pickler would ask the metaclass for a hash
        if identity(kind) in self._graph.anchors.stream_kinds:
            return _as_usual
        return _USUAL

    def _rule_of_base(self, kind: Any) -> Any:
        if is_array_of_class(kind):
            return self._arrays.reduce_array_of_class
        if is_enumeration(kind) and self._graph.is_definition(kind):
            return self._member
        return _reduce_error if issubclass(kind, BaseException) else None

    # Functions and classes.

    def _function(self, function: types.FunctionType) -> Any:
        if function.__globals__ is rebuild.__dict__:
            return NotImplemented
        return self._definition(function) or self._definitions.reduce_function(function)

    def _class(self, kind: Any) -> Any:
        return self._definition(kind) or self._definitions.reduce_class(kind)

    def _definition(self, value: Any) -> Any:
        """Return how to refer to a function or class; None where it is to be saved here, by value."""
        place = self._graph.anchors.place_of(value)
        if place is not None:
            return rebuild.place, place
        name = self._graph.definitions.get(identity(value))
        if name is None or name in self._names:
            return None
        if name not in self._saved:
            raise NeedsFirst(name)
        if name in self._lost:
            raise Unsavable(f"it needs {name}, which cannot be saved: {self._lost[name]}")
        self.uses.add(name)
        return rebuild.definition, (name,)

    def _member(self, value: Any) -> Any:
        kind = type(value)
        name = self._graph.definitions.get(identity(kind))
        return reduce_member(value, kind, name is None or name in self._names)

    def _module(self, module: Any) -> Any:
        names = _module_names(module)
        if names is self._graph.anchors.names:
            return rebuild.main_module, ()
        name = names.get("__name__")
        if type(name) is str and _modules.get(name) is module:
            return rebuild.imported, (name,)
        for other, found in list(_modules.items()):
            if found is module and type(other) is str:
                return rebuild.imported, (other,)
        kept = {key: value for key, value in names.items() if key not in _OF_A_MODULE}
        return rebuild.make_module, (name, names.get("__doc__")), kept, None, None, rebuild.fill_module

    def _cache(self, cache: Any) -> Any:
        if self._graph.anchors.place_of(cache) is not None:
            return NotImplemented
        attributes = dict(cache.__dict__)
        function = attributes.pop("__wrapped__")
        options = attributes.pop("cache_parameters")()
        arguments = (options["maxsize"], options["typed"])
        return rebuild.make_cached, (function, arguments, "lru"), attributes

    # Of typing: what Python pickles by its name.

    def _type_variable(self, value: Any) -> Any:
        if _is_where_it_says(value, value.__name__):
            return NotImplemented
        options = {
            "bound": value.__bound__,
            "covariant": value.__covariant__,
            "contravariant": value.__contravariant__,
        }
        kind = "TypeVar" if type(value) is typing.TypeVar else "ParamSpec"
        arguments = value.__constraints__ if kind == "TypeVar" else ()
        return rebuild.make_type_variable, (kind, value.__name__, value.__module__, arguments, options)

    def _new_type(self, value: Any) -> Any:
        if _is_where_it_says(value, value.__name__):
            return NotImplemented
        arguments = (value.__supertype__,)
        return rebuild.make_type_variable, ("NewType", value.__name__, value.__module__, arguments, {})

    # Weak references: to what something strong in the same group holds, or to what never goes.

    def _reference(self, reference: Any) -> Any:
        referent = _referent(reference)
        if referent is None:
            raise Unsavable("a dead weak reference cannot be saved")
        if _callback_of(reference) is not None:
            raise Unsavable("a weak reference with a callback cannot be saved")
        self._must_be_held(referent)
        return rebuild.weak, (referent,)

    def _must_be_held(self, referent: Any) -> None:
        graph = self._graph
        if graph.owners.get(identity(referent)) in self._names or identity(referent) in graph.definitions:
            return
        if issubclass(type(referent), (type, _Function)) and graph.anchors.place_of(referent) is not None:
            return
        raise Unsavable("a weak reference to something that nothing else saved with it holds")

    def _weak_set(self, container: Any) -> Any:
        items = list(container)
        for item in items:
            self._must_be_held(item)
        return weakref.WeakSet, (), (items, {}), None, None, rebuild.fill_weak

    def _weak_keys(self, container: Any) -> Any:
        items = list(container.items())
        for key, _ in items:
            self._must_be_held(key)
        remarks = {"_dirty_len": vars(container).get("_dirty_len", False)}
        return weakref.WeakKeyDictionary, (), (items, remarks), None, None, rebuild.fill_weak

    def _weak_values(self, container: Any) -> Any:
        items = list(container.items())
        for _, value in items:
            self._must_be_held(value)
        return weakref.WeakValueDictionary, (), (items, {}), None, None, rebuild.fill_weak


_OF_A_MODULE: Final = frozenset(["__builtins__", "__loader__", "__spec__"])


def _singles(kind: Any) -> dict[int, Any]:
    """Return how to refer to instances of a standard library's class that its module has: they are one of a kind."""
    module = _type_module(kind) if type(kind) is type else None
    if type(module) is not str or module.partition(".")[0] not in _STANDARD or module not in _modules:
        return {}
    return {
        identity(value): (rebuild.place, (module, name))
        for name, value in _module_names(_modules[module]).items()
        if type(value) is kind
    }


def _reduce_by_itself(value: Any) -> Any:
    for kind, reduce in list(copyreg.dispatch_table.items()):
        if kind is type(value):
            return reduce(value)
    return value.__reduce_ex__(PROTOCOL)


def _as_usual(_: Any) -> Any:
    return NotImplemented


def _is_where_it_says(value: Any, name: str) -> bool:
    module = _modules.get(value.__module__)
    return value.__module__ != "__main__" and module is not None and _module_names(module).get(name) is value


def _reduce_proxy(value: Any) -> Any:
    return types.MappingProxyType, (_get_referents(value)[0],)


def _reduce_view(value: Any) -> Any:
    return rebuild.call, (_VIEWS[identity(type(value))], _get_referents(value)[0])


def _reduce_property(value: property) -> Any:
    return rebuild.make_property, ((value.fget, value.fset, value.fdel, value.__doc__),)


def _reduce_cached_property(value: Any) -> Any:
    attributes = {name: part for name, part in value.__dict__.items() if name not in ("lock", "func")}
    return rebuild.make_cached, (value.func, (), "property"), attributes


def _reduce_logger(logger: Any) -> Any:
    root: Any = logging.root
    if logger.handlers or logger.filters:
        raise Unsavable("a logger with handlers or filters of its own cannot be saved")
    manager = logging.Logger.manager
    if logger is not root and dict.get(manager.loggerDict, logger.name) is not logger:
        raise Unsavable("a logger that nobody can ask for by its name cannot be saved")
    state = {"level": logger.level, "propagate": logger.propagate, "disabled": logger.disabled}
    name = "" if logger is root else logger.name
    return logging.getLogger, (name,), state


def _reduce_error(error: BaseException) -> Any:
    """Keep what led to an exception. Its traceback goes: it holds frames, which are no value."""
    kind = type(error)
    for ancestor in mro_of(kind):
        contents = contents_of(ancestor)
        if ancestor is BaseException:
            break
        if any(name in contents for name in ("__reduce__", "__reduce_ex__", "__setstate__", "__getstate__")):
            return NotImplemented
    arguments = error.args
    state = (error.__cause__, error.__context__, error.__suppress_context__, dict(error.__dict__))
    if any(type(contents_of(ancestor).get("__init__")) is _Function for ancestor in mro_of(kind)):
        # Its __init__ may want other arguments than those that it has handed on.
        return rebuild.make_error, (kind, arguments), state, None, None, rebuild.fill_error
    return kind, arguments, state, None, None, rebuild.fill_error
