"""What the calls of `ctx` mean, on the side that runs jobs."""
