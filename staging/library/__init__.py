"""The functions of NumPy and of mathematics, as staged ones."""
