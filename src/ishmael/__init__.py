"""Ishmael: a two-node failover cluster for Asterisk phone systems."""
