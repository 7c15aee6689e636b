/* What the PSF's kernels share: sizes, vectors, tables, and the sphere. */

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Compiled for several sets of instructions, of which the processor's is taken when it is loaded.
 * By what it can do: "arch=skylake-avx512" would be taken by that very model only. */
#if defined(__x86_64__) && defined(__gnu_linux__) && __GNUC__ >= 12
#define CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#elif defined(__x86_64__) && defined(__gnu_linux__)
#define CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define CLONES
#endif
#define INLINE static inline __attribute__((always_inline))

enum {
    LANES = 8,     /* true energies of a block */
    STRIDE = 8,    /* radial nodes that share a choice of what to do */
    HARMONICS = 4, /* terms beside the mean over all angles: fourfold, shape, eightfold, size */
    FEW = 8,       /* maps that are done at a time */
    MOST = 32,     /* points on a side of a pixel, and levels of the rule, at most */
};

/* What a pixel is: a value of the table of means, the same with the fourfold term or with all four
 * (those that need two or three are too few for sums of their own), or a quadrature. */
enum { SINGLE, ONE, ALL, RAW };

#define NEAR 2e-3 /* haversine up to which the series of the arcsine is exact */

typedef double vec __attribute__((vector_size(64), aligned(8), may_alias));
typedef int64_t ivec __attribute__((vector_size(64), aligned(8), may_alias));

typedef struct {
    int64_t nnode, nrad, nblock, nbin, ntrue, ny;
    double rad_max;
    const double *raw, *means;   /* (nblock, nnode, nrad, LANES) */
    const double *harmonics;     /* (HARMONICS, nblock, nnode, nrad, LANES) */
    const double *offsets;       /* (nnode) */
    const double *scale;         /* (nnode - 1, nblock) width of the PSF */
    /* (nnode - 1, ntrue) farthest pixels that are visited at an energy and the higher ones of its
     * block, and their haversine. */
    const double *reach, *most;
    const uint8_t *least;        /* (nnode - 1, nblock, nbin) */
    const double *cumulative;    /* (ngroup, ntrue, ny, LANES), by groups of nodes */
    const double *widths;        /* (ntrue) of the true energies in ln E */
    const double *edges;         /* (ntrue + 1) of these, in steps of the cumulative's nodes */
} response;

INLINE double larger(double a, double b)
{
    return a > b ? a : b;
}

INLINE double smaller(double a, double b)
{
    return a < b ? a : b;
}

/* Angle whose haversine is h, below 5 deg, by the series of the arcsine, exact to rounding. */
INLINE double small_angle(double h)
{
    double s = 35.0 / 576.0 + h * (63.0 / 1408.0 + h * (231.0 / 6656.0));
    s = 1.0 / 3.0 + h * (3.0 / 20.0 + h * (5.0 / 56.0 + h * s));
    return sqrt(h) * (2.0 + h * s);
}

/* Square root of the same, exact to rounding from a haversine of 1e-37 on.
 *
 * The fourth root of h is one step of third order from a guess in single precision, as two square
 * roots in double precision take longer. The root of the arcsine's series is a series too. */
INLINE double small_angle_root(double haversine)
{
    const double h = larger(haversine, 1e-37); /* within single precision */
    const double guess = 1.0f / sqrtf(sqrtf((float)h));
    const double square = guess * guess, wrong = 1.0 - h * square * square;
    const double inverse = guess * (1.0 + wrong * (0.25 + wrong * (5.0 / 32.0)));
    double s = 377053.0 / 29030400.0 + h * (36176771.0 / 3832012800.0);
    s = 1.0 / 12.0 + h * (49.0 / 1440.0 + h * (2357.0 / 120960.0 + h * s));
    return h * inverse * inverse * inverse * (M_SQRT2 + M_SQRT2 * h * s);
}

INLINE double angle(double h)
{
    if (h > NEAR)
        return 2.0 * asin(h < 1.0 ? sqrt(h) : 1.0);
    return small_angle(h);
}

/* Sine below 0.3 rad by its series, exact to rounding. */
INLINE double small_sine(double x)
{
    const double y = x * x;
    double s = -1.0 / 39916800.0 + y * (1.0 / 6227020800.0);
    s = -1.0 / 5040.0 + y * (1.0 / 362880.0 + y * s);
    return x * (1.0 + y * (-1.0 / 6.0 + y * (1.0 / 120.0 + y * s)));
}

INLINE double sine(double x)
{
    return fabs(x) < 0.3 ? small_sine(x) : sin(x);
}
