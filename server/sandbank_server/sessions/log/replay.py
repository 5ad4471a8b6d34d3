"""Reading an operation log's lines: each is taken in as it was when it was written."""

from __future__ import annotations

from typing import cast

from sandbank.v1 import execution_pb2

from sandbank_server.sessions.log.entry import Terms
from sandbank_server.sessions.log.planned_move import KIND as PLANNED
from sandbank_server.sessions.log.planned_move import PlannedMove
from sandbank_server.sessions.log.set_variables import GoneSets
from sandbank_server.sessions.log.state import USUAL_TERMS, LogState

_Operation = execution_pb2.Operation


class LogReplay(LogState):
    """A log's content that can be read from lines."""

    def replay(self, fields: dict[str, object], at: int) -> None:
        """Take in what a line says. ValueError, KeyError or TypeError for one that says nothing."""
        kind = fields["k"]
        name = str(fields.get("op", ""))
        if kind == "d":
            self._add(name, str(fields["dg"]), _number(fields["t"]), _terms(fields))
        elif kind == "s":
            self._entries[name].started = True
        elif kind == "e":
            entry = self._entries[name]
            entry.state, entry.outcome = _state(fields["st"]), _outcome(fields["oc"])
            entry.last_sequence, entry.record = _number(fields["q"]), at
            entry.named = not fields.keys().isdisjoint(("v", "f", "m"))
            self._finish(name, entry)
            self._end_unopened(name)
        elif kind == "h":
            self._note_end(name, _state(fields["st"]), _outcome(fields["oc"]))
        elif kind == "o":
            operation_ids = fields["ops"]
            if not isinstance(operation_ids, list):
                raise TypeError("not a list")
            number = _number(fields["n"]) if "n" in fields else None
            sets = GoneSets(_names(fields.get("s")), _names(fields.get("z")))
            self._take_back(operation_ids, _outcome(fields["oc"]), number, sets, goes_on="a" in fields)
        elif kind == "w":
            self._remove(name)
        elif kind in ("r", "m", "c", "b", PLANNED):
            self._replay_state(kind, fields)
        elif kind in ("ta", "t"):
            self._replay_transaction(kind, fields)
        else:
            self._replay_names(kind, fields)

    def _replay_names(self, kind: object, fields: dict[str, object]) -> None:
        """Files and variables that came in through the API."""
        if kind == "v":
            come = self.set.add_in_transaction if "tx" in fields else self.set.add
            come(str(fields["p"]), _number(fields["n"]), _number(fields.get("at", 0)))
            return
        if kind in ("x", "y"):
            self._files_from = self._finished
        if kind == "y":
            self.set.forget(self.sets_missing_in(str(fields.get("p", ""))))
        self._files.replay(kind, fields)
        if kind == "y":
            self._note_loss((), _names(fields.get("l")), _names(fields.get("s")), goes_on=True)

    def _replay_state(self, kind: str, fields: dict[str, object]) -> None:
        if kind == PLANNED:
            self.planned = PlannedMove.of_fields(fields)
        elif kind == "r":
            self._mark_reset()
        elif kind == "m":
            self._move(_number(fields["g"]))
        elif kind == "b":
            self._go_back(str(fields["cp"]), _number(fields["n"]))
        else:
            ends = fields.get("e", [])
            if not isinstance(ends, list):
                raise TypeError("not a list")
            self._cover(
                str(fields.get("op", "")),
                str(fields["cp"]),
                _number(fields.get("u", 0)),
                sets=_number(fields.get("s", 0)),
                sandbox_state=_number(fields.get("at", 0)),
                ends=[(str(name), _state(state), _outcome(outcome)) for name, state, outcome in ends],
            )

    def _replay_transaction(self, kind: str, fields: dict[str, object]) -> None:
        name = str(fields["tx"])
        if kind == "ta":
            self.transactions.ask(name, include_files=bool(fields["b"]))
            return
        self._change_transaction(name, _number(fields["st"]), _number(fields["n"]))
        transaction = self.transactions.get(name)
        assert transaction is not None
        transaction.begin_time_us, transaction.expire_time_us = _number(fields["bt"]), _number(fields["et"])
        transaction.base_count, transaction.reason = _number(fields["c"]), str(fields["r"])


def _terms(fields: dict[str, object]) -> Terms:
    if "p" not in fields:
        return USUAL_TERMS
    return Terms(
        tx_policy=_number(fields["p"]),
        isolation=_number(fields["i"]),
        transaction_id=str(fields.get("tx", "")),
        begins="b" in fields,
        include_files=bool(fields.get("b", False)),
    )


def _names(value: object) -> list[str]:
    return list(map(str, value)) if isinstance(value, list) else []


def _state(number: object) -> _Operation.State:
    return cast("_Operation.State", _number(number))


def _outcome(number: object) -> _Operation.Outcome:
    return cast("_Operation.Outcome", _number(number))


def _number(value: object) -> int:
    if type(value) is not int:
        raise TypeError("not a number")
    return value
