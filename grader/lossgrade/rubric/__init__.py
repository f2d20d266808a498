"""What is graded of each function: one module a function, named as the assignment's `rubric`.

A module offers its criteria and

    ordinary(trial) -> Case      one call with ordinary arguments, and what it should give, for
                                 the (N, C) of cases.ordinary_shape(trial), so that two cases of
                                 one shape can be compared
    reduction(trial) -> str      optional: which of the accepted reductions the function uses
"""
