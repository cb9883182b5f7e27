"""Predictions of speed, memory and energy from counted bytes and operations."""
