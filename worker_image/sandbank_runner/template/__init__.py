"""The template, or zygote: packages preloaded, never user code; every interpreter is forked from it."""
