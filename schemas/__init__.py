"""What two rooms, or we and the world, have agreed on. Imports nothing of ours."""
