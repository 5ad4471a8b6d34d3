"""The generated messages of the private API, package `sandbank_runner.v1`."""
