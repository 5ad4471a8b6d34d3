"""Operations under ISOLATION_NAMESPACE: several at once, each in a thread of its own on its own copy of the names.

The main thread goes on receiving what the supervisor says; it starts, interrupts, merges and discards. What an
operation bound or deleted is merged when its thread is gone, or dropped.
"""
