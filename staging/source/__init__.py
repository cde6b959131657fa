"""The rewriting that lets control flow stage itself: `virtualize`."""
