"""From counts to latents to miRNA: arrays in, arrays out."""
