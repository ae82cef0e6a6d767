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
        left_out = "x lua cairo gd qt wx caca libcerf latex bitmap-terminals tutorial"
        options = [f"--without-{name}" for name in left_out.split()]
        box.run(
            f"mkdir build && tar -xJf {archive} --strip-components=1 -C build && cd build"
            f" && ./configure --prefix={box.prefix} --disable-wxwidgets --with-qt=no"
            f" --with-readline=builtin {' '.join(options)}"
            f" && make -j {box.jobs} -C src && make -C src install && make -C term install"
            " && make -C share install && cd .. && rm -r build",
            say="a C and a C++ compiler, and make",
        )

    def test(self, box):
        box.run("gnuplot --version | grep -F ' " + str(self.version.up_to(2)) + " '")
        box.run(
            "printf '1 1\\n2 4\\n3 9\\n' > data && gnuplot -e '"
            'set terminal svg; set output "plot.svg"; f(x) = a * x**2; a = 0.5;'
            ' set fit quiet logfile "log"; fit f(x) "data" via a; plot "data", f(x);'
            " print abs(a - 1) < 1e-6' 2>&1 | grep -x 1"
            " && grep -q '<path' plot.svg && grep -q '</svg>' plot.svg",
            say="a fit and its plot",
        )
        box.run(
            "gnuplot -e 'set terminal postscript eps; set output \"plot.eps\"; plot sin(x)'"
            " && head -n 1 plot.eps | grep EPSF && grep -q stroke plot.eps",
            say="PostScript, with what it includes",
        )
        box.run("! gnuplot -e 'plot nonsense(x)'", say="a failure is a failure")
