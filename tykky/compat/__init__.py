"""The four classic commands: thin front ends over the machinery that recipes use.

``conda-containerize``, ``pip-containerize``, ``wrap-container`` and ``wrap-install`` take the
command lines and configuration files that they always took. Each becomes a throw-away recipe of
the right kind, installed at ``--prefix`` instead of in the store, and recorded in the user's own
database.
"""
