"""The linter: follows what a tensor means, from the activation to the loss."""
