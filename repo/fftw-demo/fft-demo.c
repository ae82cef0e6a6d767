/* Transforms N random numbers forth and back, and says how far the result is from them. */
#include <fftw3.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    char *end = "";
    long n = argc == 2 ? strtol(argv[1], &end, 10) : 0;
    if (n < 1 || n > 1 << 26 || *end) {
        fprintf(stderr, "usage: %s N\n", argv[0]);
        return 2;
    }
    size_t size = (size_t)n;
    double *in = fftw_alloc_real(size), *out = fftw_alloc_real(size), worst = 0;
    fftw_complex *middle = fftw_alloc_complex(size / 2 + 1);
    fftw_plan forth = fftw_plan_dft_r2c_1d((int)n, in, middle, FFTW_ESTIMATE);
    fftw_plan back = fftw_plan_dft_c2r_1d((int)n, middle, out, FFTW_ESTIMATE);
    srand(1);
    for (size_t i = 0; i < size; i++)
        in[i] = (double)rand() / RAND_MAX;
    fftw_execute(forth);
    fftw_execute(back);
    for (size_t i = 0; i < size; i++)
        worst = fmax(worst, fabs(out[i] / (double)n - in[i]));
    printf("%s: %ld numbers, largest error %.1e\n", fftw_version, n, worst);
    return worst < 1e-12 ? 0 : 1;
}
