"""Designs: what makes the rows of a factor from coordinates, groups or features."""
