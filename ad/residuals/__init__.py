"""What the backward half has of the forward half: made again, loaded again, or saved."""
