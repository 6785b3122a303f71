"""asyncio on the tower: event loop calls whose sockets are a host's, in real and in virtual time."""
