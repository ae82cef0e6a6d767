from tykky import DiskStack


class FftwDemo(DiskStack):
    """An example of how to build from source: a Fourier transform.

    Compiled here against FFTW. 'fft-demo N' transforms N random numbers there and back and says how
    far the result is from them; 'fft-bench' is another name for it.
    """

    homepage = "https://www.fftw.org"
    license = "GPL-2.0-or-later"
    versions = "1"
    commands = {"fft-demo": "fft-demo", "fft-bench": "fft-demo"}
    keywords = "FFT", "Fourier transform", "example"

    def build(self, box):
        # FFTW itself is linked statically, so that no node needs it.
        box.copy("fft-demo.c", "src/")
        box.run(
            "mkdir -p bin && cc -O2 -Wall -o bin/fft-demo src/fft-demo.c -l:libfftw3.a -lm"
            " && rm -r src",
            say="the C compiler (needs libfftw3-dev)",
        )

    def test(self, box):
        box.run("fft-demo 4096 | grep error")
        box.run("fft-demo 4096 > by-one-name && fft-bench 4096 | cmp - by-one-name")
        box.run("! fft-demo minus-one", say="a wrong argument is refused")
