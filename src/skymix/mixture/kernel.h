/* What the parts of the compiled kernel know of each other: plain C, nothing of Python. */

#include <stdint.h>

/* A table of densities as kernel.py cuts it. */
typedef struct {
    const char *values;         /* each entry over a power of two above the largest of its column */
    const int64_t *offset;      /* (ntile) first entry of a tile */
    const int64_t *stride;      /* (ntile) entries from a row of the tile to the next */
    const int64_t *filled;      /* (ntile) data of the tile, at least one */
    const int64_t *segment;     /* (ntile) coefficient set of its data */
    const double *multiplicity; /* (ntile) of all its data, 0 where they differ */
    const int64_t *counts_at;   /* (ntile) where they differ: first entry in counts */
    const double *counts;       /* multiplicities one by one */
    const int64_t *part;        /* (npart + 1) first tile of each part */
    int64_t npart, nrow, nsegment;
    int64_t size;    /* bytes of an entry: 8 for double, 4 for float */
    int64_t level;   /* set of instructions */
    double exponent; /* sum of multiplicity x power of two */
} table;

/* Rows and coefficients of points. */
typedef struct {
    int64_t npoint, nset, nown, nterm; /* nset: sets of rows, nown: of coefficients; 1 or nsegment */
    const int64_t *rows;               /* (npoint, nset, nterm) */
    const double *coefficients;        /* (npoint, nown, nterm) */
    double *gradient;                  /* as coefficients, or null */
} points;

/* The edges of a tree, each split before what is below it; see Tree.edges. */
typedef struct {
    int64_t nedge;
    const int64_t *parent, *column, *leaf;
    const double *fixed;
} tree;

/* Multilinear interpolation in several tables; see parameters.Interpolation. */
typedef struct {
    int64_t ntable;
    const int64_t *offset;                      /* (ntable) first row of each */
    const int64_t *column, *logarithmic, *start; /* of each axis, and the end of the last */
    const int64_t *first_axis;                  /* (ntable + 1) */
    const double *positions;
} interpolation;

/* Parameters (npoint, ndim) with the distances in bytes of points and of columns. */
typedef struct {
    const char *values;
    int64_t npoint, by_point, by_column;
} parameters;

int64_t highest_level(void);

enum { WRONG_ROW = 1, NO_MEMORY = 2 };

int log_sum(const table *t, const points *p, int64_t threads, double *value);

void leaf_weights(const tree *t, const parameters *theta, int64_t stride, double *weights);

void fill_terms(const interpolation *t, const parameters *theta, int64_t nterm, int64_t *rows,
                double *coefficients);
