"""What the operating system can take away from a worker; `stack` puts the layers together."""
