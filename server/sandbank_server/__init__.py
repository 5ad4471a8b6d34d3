"""The control plane of Sandbank."""

__version__ = "0.1.0"
