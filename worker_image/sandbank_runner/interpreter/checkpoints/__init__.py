"""The session's state on its way out of the sandbox, and back in: the writer's and the loader's part.

A *writer* is a fork of the interpreter, live or asleep, that describes the state to the control plane and sends what
it lacks (``forking``, ``writer``). A *loader* is a fresh interpreter that takes a state in (``loader``). Both speak the
state protocol of ``worker_image/PROTOCOL.md`` (``frames``).
"""
