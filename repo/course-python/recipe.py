from tykky import PipStack


class CoursePython(PipStack):
    """A kernel for a first course in Python: arrays, tables, plots.

    'tykky kernel add course-python --course FILE' offers it in a central Jupyter; it has no Jupyter
    of its own. A course that needs more extends the recipe, and adds packages.
    """

    homepage = "https://lectures.scientific-python.org"
    license = "BSD-3-Clause AND MIT"
    versions = "26.11"
    python = "3.11"
    commands = "python*", "pip*", "ipython*"
    keywords = "course", "teaching", "Python", "Jupyter"
    family = "python_env"

    packages = (
        *("ipykernel", "ipywidgets", "ipympl"),
        *("numpy", "scipy", "pandas", "matplotlib", "seaborn", "scikit-learn", "openpyxl"),
    )

    def test(self, box):
        # What happens when somebody runs a cell; through files, since a box has no network.
        box.run(
            r"""
            python - << 'END'
            from jupyter_client import KernelManager

            cell = "%matplotlib inline\nimport pandas\npandas.Series([1, 4]).plot()\nprint(6 * 7)"
            manager = KernelManager(kernel_name="python3", transport="ipc")
            manager.start_kernel()
            client = manager.client()
            client.start_channels()
            client.wait_for_ready(timeout=300)
            said = []
            client.execute_interactive(cell, output_hook=said.append, timeout=300)
            manager.shutdown_kernel(now=True)
            text = [m["content"]["text"] for m in said if m["msg_type"] == "stream"]
            assert "".join(text) == "42\n", said
            assert any("image/png" in m["content"].get("data", {}) for m in said), said
            END
            """,
            say="a cell with a plot",
        )
        box.run(
            """
            python - << END
            import pandas
            from sklearn.linear_model import LinearRegression

            pandas.DataFrame({"x": [0, 1, 2], "y": [1, 3, 5]}).to_excel("t.xlsx")
            t = pandas.read_excel("t.xlsx")
            assert abs(LinearRegression().fit(t[["x"]], t["y"]).coef_[0] - 2) < 1e-9
            END
            """,
            say="a table of Excel, and a line through it",
        )
