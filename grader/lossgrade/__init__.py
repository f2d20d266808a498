"""The grader: runs a student's functions elsewhere, and compares what comes back."""
