"""The pages of workflows and runs."""
