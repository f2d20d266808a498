"""Grade many submissions: what platforms export in, results, feedback and gradebooks out."""
