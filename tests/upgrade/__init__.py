"""What an earlier version wrote, as bytes and as a whole data folder, read and gone on with by today's code."""
