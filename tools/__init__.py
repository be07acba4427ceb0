"""Programs around the product that it does not need to run: the builder of the embedded base."""
