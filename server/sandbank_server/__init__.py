"""The control plane of Sandbank."""
