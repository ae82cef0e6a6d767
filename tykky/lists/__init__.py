"""Stack lists: what a system should have, in a file, and how reality is made equal to it.

``reading`` reads a list, ``difference`` compares it with what is installed, ``runs`` keeps what
becomes of each build in one folder of the root, ``worker`` does one of them in a process of its
own; they are started on this machine by ``here``, through Slurm by ``batch``.
"""
