"""The classic servers of a networks course, on whichever sockets they are handed.

``echo`` and ``files`` know how to serve one client; ``modes`` knows whom to serve when: one after another, or each in
a process of its own.
"""
