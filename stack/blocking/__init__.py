"""Blocking programs on simulated hosts: greenlets that wait in virtual time."""
