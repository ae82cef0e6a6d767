from tykky import DiskStack, Version


class Gnuplot(DiskStack):
    """Plots of functions and data, from scripts.

    It writes SVG, PostScript, EPS, LaTeX, HTML and plain text. What needs libraries of the machine
    (PDF and PNG by cairo, windows) is left out, so that it runs on any node.
    """

    homepage = "http://www.gnuplot.info"
    license = "gnuplot"
    versions = (
        Version("6.0.2", sha256="c02de00f808fd0911b68050b9ce4a4d9f2901aeca6fda66a2f41bfde650fabc2"),
        Version("5.4.4", sha256="53af9bba3dc5344df2a746abf8c93e014403897304a385e720c3df9e3731b593"),
    )
    commands = "gnuplot"
    keywords = "plots", "graphics", "visualisation"

    def build(self, box):
        # Debian keeps the release as it was, but for a demonstration that is not free.
        archive = box.fetch(
            "https://deb.debian.org/debian/pool/main/g/gnuplot/"
            f"gnuplot_{self.version}+dfsg1.orig.tar.xz",
            sha256=self.version.sha256,
        )
        left_out = "x lua cairo gd caca libcerf latex"
        options = [f"--without-{name}" for name in left_out.split()]
        box.run(
            f"""
            mkdir build
            tar -xJf {archive} --strip-components=1 -C build
            cd build
            # Of another system, and not in the archive.
            mkdir -p src/beos && touch src/beos/Makefile.in
            ./configure --prefix={box.prefix} {" ".join(options)} \\
                --disable-wxwidgets --with-qt=no --with-readline=builtin
            make -j {box.jobs} -C src
            for folder in src term share; do make -C $folder install; done
            make -C docs gnuplot.gih install-gihDATA
            cd ..
            rm -r build
            """,
            say="compiled, with a compiler for C and C++, and make",
        )

    def test(self, box):
        box.run(f"gnuplot --version | grep 'gnuplot {self.version.up_to(2)} '")
        box.run("echo 'help set xrange' | gnuplot 2>&1 | grep 'horizontal range'")
        box.run(
            """
            gnuplot - > said 2>&1 << 'END'
            $points << END_OF_POINTS
            1 1
            2 4
            3 9
            END_OF_POINTS
            f(x) = a * x**2
            a = 0.5
            set fit quiet nolog
            fit f(x) $points via a
            print abs(a - 1) < 1e-6
            set terminal svg
            set output "plot.svg"
            plot $points, f(x)
            set terminal postscript eps
            set output "plot.eps"
            plot sin(x)
            END
            grep -x 1 said
            grep -q '<path' plot.svg && grep -q '</svg>' plot.svg
            head -n 1 plot.eps | grep EPSF
            """,
            say="a fit, and plots as SVG and PostScript",
        )
        box.run("! gnuplot -e 'plot nonsense(x)'", say="a failure is a failure")
