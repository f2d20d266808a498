"""Which misconception explains the results of a function: the bank, and how it is matched."""
