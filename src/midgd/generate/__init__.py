"""New samples from the latent space, and the smallest change that shifts a miRNA: arrays in, arrays out."""
