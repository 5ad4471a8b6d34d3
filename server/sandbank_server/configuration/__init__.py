"""How settings come together: values as people write them, sources in their order, clear errors."""
