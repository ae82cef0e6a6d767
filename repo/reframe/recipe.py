from tykky import PipStack


class Reframe(PipStack):
    """ReFrame: regression tests and benchmarks of a whole system.

    A site's own configuration is found by RFM_CONFIG_FILES, which an overlay of this recipe can
    set for all its users.
    """

    homepage = "https://reframe-hpc.readthedocs.io"
    license = "BSD-3-Clause"
    versions = "4.10"
    python = "3.11"
    commands = "reframe", "python*", "pip*"
    keywords = "regression tests", "benchmarks", "Slurm"

    @property
    def packages(self):
        yield f"reframe-hpc=={self.version}.*"

    def test(self, box):
        box.run(
            """
            cat > hello.py << END
            import reframe
            import reframe.utility.sanity as sn

            @reframe.simple_test
            class Hello(reframe.RunOnlyRegressionTest):
                valid_systems = ["*"]
                valid_prog_environs = ["*"]
                executable = "echo"
                words = parameter(["hello", "goodbye"])

                @run_before("run")
                def say(self):
                    self.executable_opts = [self.words]

                @sanity_function
                def is_said(self):
                    return sn.assert_found("hello", self.stdout)
            END
            reframe --checkpath hello.py --run > log 2>&1 || true
            grep 'Ran 2/2 test case(s) from 2 check(s) (1 failure(s)' log
            """,
            say="a test that passes, and one that fails",
        )
