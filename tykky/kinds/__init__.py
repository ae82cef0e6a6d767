"""The kinds of stacks: what each is made of and how it is built."""
