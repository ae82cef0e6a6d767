from tykky import PipStack


class Jupyter(PipStack):
    """JupyterLab and Notebook, for the kernels of other stacks.

    For a portal, or a tunnel of SSH. With git, memory in view, and 'nbgitpuller' for what teachers
    hand out.    'tykky kernel add' makes the stacks of this site known to it.
    """

    homepage = "https://jupyter.org"
    license = "BSD-3-Clause"
    versions = "4.6"
    python = "3.11"
    commands = "jupyter*", "python*", "pip*"
    keywords = "Jupyter", "notebooks", "Open OnDemand"

    @property
    def packages(self):
        yield f"jupyterlab=={self.version}.*"
        yield from ("notebook", "nbconvert", "nbclient", "ipykernel", "ipywidgets")
        yield from ("jupyterlab-git", "jupyter-resource-usage", "nbgitpuller")
        yield "jupyter-server-proxy"

    def test(self, box):
        box.run("jupyter lab --version && jupyter notebook --version")
        box.run(
            """
            jupyter server extension list 2>&1 | tee list
            for name in jupyterlab jupyterlab_git jupyter_resource_usage nbgitpuller; do
                grep -q "$name .*OK" list
            done
            """,
            say="extensions of the server",
        )
        box.run(
            """
            python - << END
            import nbformat
            from nbformat import v4

            nbformat.write(v4.new_notebook(cells=[v4.new_code_cell("print(6 * 7)")]), "a.ipynb")
            END
            jupyter nbconvert --to notebook --execute a.ipynb --output b
            jupyter nbconvert --to html b.ipynb
            grep -q '>42' b.html
            """,
            say="a notebook, run and shown",
        )
