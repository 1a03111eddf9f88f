"""Documents with a known answer: does a model find again what it read a given number of words ago?"""
