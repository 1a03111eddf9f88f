"""From packed text to `LossInputs`: what is read, who sees whom, what is predicted where, and what it weighs.

arrangement documents -> the same slots: as they stand, in random order, or with spans cut out and put behind
layout      documents -> blocks of mutually visible tokens
corruption  clean tokens -> noisy tokens, and the weight of each prediction
placement   where a target sits: at its own position, or at the one before it
mixture     rows of several objectives -> one batch under one mask
"""
