"""Ishmael: a two-node failover cluster for Asterisk phone systems."""

__version__ = "0.1.0"
