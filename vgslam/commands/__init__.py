"""The commands of the program: what each option means, and what is printed."""
