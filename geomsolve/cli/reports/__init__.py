"""What results say of themselves on the command line."""
