"""How a stack is entered: ``base`` says what is needed, ``native`` brings the launcher."""
