"""The present stage: the typed tree is evaluated, and makes programs as it goes."""
