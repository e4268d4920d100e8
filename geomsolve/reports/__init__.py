"""What the verbs of the command line report, one file a noun."""
