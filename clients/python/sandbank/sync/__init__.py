"""The client for ordinary programs. `sandbank.aio` is the same for asyncio."""
