"""For people: formatting, colours, what editors ask, prompts, files that hold their own output."""
