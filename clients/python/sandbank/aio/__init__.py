"""The client for asyncio, of the same shape as `sandbank.sync`."""
