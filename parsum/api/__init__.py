"""The public functions: NumPy's signatures over the monoid's reductions."""
