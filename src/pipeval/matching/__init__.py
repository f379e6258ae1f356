"""Who is compared with whom: the pool, the propensity score, the matches, their balance. Blind to outcomes."""
