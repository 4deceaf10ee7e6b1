"""New samples from the latent space, and the smallest change that shifts a miRNA: arrays in, arrays out.

:mod:`midgd.generate.density` is part of a reference, so nothing is imported here: the other modules need references.
"""
