"""Values that come and go on a connection of their own: bound in the live interpreter, sent by a copy of it."""

from sandbank_runner.interpreter.transfer.importing import Importer

__all__ = ["Importer"]
