"""The generated messages and stubs of the public API, package `sandbank.v1`."""
