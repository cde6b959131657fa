"""What rewritten code calls: choices, loops, variables where paths meet, now or later."""
