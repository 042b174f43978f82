"""What the proxies have to do. One file each; each has a `run` that takes the stage and adds to the results."""
