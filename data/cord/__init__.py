"""What stops a training: the cord, how it is watched, and the sentinels that pull it."""
