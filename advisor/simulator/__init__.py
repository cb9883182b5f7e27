"""Replaying traffic on a fleet: clients, router, replicas, devices and APIs."""
