"""Penalties: functions of the factors alone, added to the loss."""
