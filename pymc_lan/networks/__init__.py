"""What is trained, stored and evaluated."""
