"""Loops whose iterations are run again in the backward half, from snapshots."""
