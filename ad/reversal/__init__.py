"""Time reversal: memory that is put back as it was on the way back, instead of saved."""
