"""What the disk tier of the prefix cache spares."""
