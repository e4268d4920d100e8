"""What can be measured of labelled embeddings."""
