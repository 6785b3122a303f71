"""Blocking programs on simulated hosts: greenlets that wait in virtual time (the extra ``simulation``)."""

try:
    import greenlet  # noqa: F401
except ImportError:
    raise ImportError("programs with blocking calls need greenlets: pip install 'netower[simulation]'") from None
