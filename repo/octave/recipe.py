from tykky import ContainerStack


class Octave(ContainerStack):
    """GNU Octave: numerics in a language much like that of MATLAB.

    With packages for signals, statistics, optimisation and images: 'pkg load statistics'.
    """

    homepage = "https://octave.org"
    license = "GPL-3.0-or-later"
    versions = "7.3"
    image = "debian:image.txt"
    commands = "octave", "octave-cli"
    keywords = "numerics", "linear algebra", "MATLAB"
    # One thread a process unless the user says more: a node is shared by many processes.
    setenv = {"OMP_NUM_THREADS": "1"}

    def test(self, box):
        box.run(
            r"""
            octave-cli --eval '
                A = [4 1; 1 3]; x = A \ [1; 2]; assert (norm (A * x - [1; 2]) < 1e-12);
                y = lsode (@(y, t) -y, 1, [0 1]); assert (abs (y(2) - exp (-1)) < 1e-6);
                pkg load statistics signal optim image control
                assert (abs (normcdf (1.96) - 0.975) < 1e-4);
                [b, a] = butter (2, 0.5); assert (numel (a) == 3);
                assert (isstable (tf (1, [1 1])))'
            """,
            say="equations, and packages",
        )
        box.run(
            """
            octave-cli --eval '
                graphics_toolkit gnuplot; figure ("visible", "off"); plot (1:3, [1 4 9]);
                print -dsvg plot.svg'
            grep -q '</svg>' plot.svg
            """,
            say="a plot",
        )
        box.run("! octave-cli --eval 'no_such_function (1)'", say="a failure is a failure")
