"""Intake: the way from what a user calls a tensor to a data kind."""
