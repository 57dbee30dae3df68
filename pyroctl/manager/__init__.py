"""The manager: the asyncio shell around the pure core."""
