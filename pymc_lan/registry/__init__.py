"""From names to verified weights and back."""
