"""The command: starts and joins the rooms, decides nothing."""
