"""Files, processes, the terminal and the platform: what every other room builds on."""
