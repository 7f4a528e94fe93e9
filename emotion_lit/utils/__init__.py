"""Files, processes, the terminal and the platform: used by every other package."""
