"""The pages, as people and browsers see them."""
