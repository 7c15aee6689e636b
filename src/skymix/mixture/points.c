/* From parameters to the weights of leaves, and to rows of tables with their coefficients. */

#include "kernel.h"

#include <math.h>

enum { REST = -1, FIXED = -2 }; /* edges whose share is not a parameter, as in tree.py */

#define SLACK 1e-9 /* of a cell, that rounding may lead outside the grid */

static inline double parameter(const parameters *theta, int64_t point, int64_t column)
{
    return *(const double *)(theta->values + point * theta->by_point + column * theta->by_column);
}

/* Weights, (npoint, nleaf): products of shares along the edges. */
void leaf_weights(const tree *t, const parameters *theta, int64_t nleaf, double *weights)
{
    double weight[t->nedge + 1];
    weight[0] = 1.0;
    for (int64_t i = 0; i < theta->npoint; i++) {
        double left = 1.0;
        for (int64_t e = 0; e < t->nedge; e++) {
            double share;
            if (t->column[e] == FIXED) {
                share = t->fixed[e];
            } else if (t->column[e] == REST) {
                share = left > 0.0 ? left : 0.0;
                left = 1.0;
            } else {
                share = parameter(theta, i, t->column[e]);
                left -= share;
            }
            weight[e + 1] = weight[t->parent[e]] * share;
            if (t->leaf[e] >= 0)
                weights[i * nleaf + t->leaf[e]] = weight[e + 1];
        }
    }
}

/* Number of positions that are not above x. */
static int64_t not_above(const double *positions, int64_t count, double x)
{
    int64_t low = 0, high = count;
    while (low < high) {
        const int64_t middle = (low + high) / 2;
        if (positions[middle] <= x)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Lower node of x and the weight of the next one, NaN outside the grid. */
static inline int64_t place(double x, const double *positions, int64_t count, double per_position,
                            double *upper)
{
    const int64_t last = count - 2;
    /* On an even grid this is the node, or next to it. */
    const double guess = (x - positions[0]) * per_position;
    int64_t node = guess > 0.0 ? guess < last ? (int64_t)guess : last : 0;
    if (!(positions[node] <= x && x < positions[node + 1])) {
        node = not_above(positions, count, x) - 1;
        node = node < 0 ? 0 : node < last ? node : last;
    }
    const double fraction = (x - positions[node]) / (positions[node + 1] - positions[node]);
    if (-SLACK <= fraction && fraction <= 1.0 + SLACK)
        *upper = fraction < 0.0 ? 0.0 : fraction > 1.0 ? 1.0 : fraction;
    else
        *upper = NAN;
    return node;
}

/* Rows and coefficients, (npoint, terms), of interpolation in each table times its factor: the terms
 * of a table follow those of the one before, and double with each of its axes. */
void fill_terms(const interpolation *t, const parameters *theta, const double *factors,
                int64_t *rows, double *coefficients)
{
    const int64_t naxis = t->first_axis[t->ntable];
    double per_position[naxis + 1]; /* nodes */
    for (int64_t a = 0; a < naxis; a++) {
        const int64_t first = t->start[a], last = t->start[a + 1] - 1;
        per_position[a] = (last - first) / (t->positions[last] - t->positions[first]);
    }
    for (int64_t i = 0; i < theta->npoint; i++, factors += t->ntable) {
        for (int64_t k = 0; k < t->ntable; k++) {
            int64_t count = 1;
            rows[0] = 0;
            coefficients[0] = factors[k];
            for (int64_t a = t->first_axis[k]; a < t->first_axis[k + 1]; a++) {
                const int64_t size = t->start[a + 1] - t->start[a];
                const double value = parameter(theta, i, t->column[a]);
                const double x = t->logarithmic[a] ? log(value) : value;
                double upper;
                const int64_t node = place(x, t->positions + t->start[a], size, per_position[a], &upper);
                for (int64_t low = 0; low < count; low++) {
                    rows[low] = rows[low] * size + node;
                    rows[low + count] = rows[low] + 1;
                    coefficients[low + count] = coefficients[low] * upper;
                    coefficients[low] *= 1.0 - upper;
                }
                count *= 2;
            }
            for (int64_t r = 0; r < count; r++)
                rows[r] += t->offset[k];
            rows += count;
            coefficients += count;
        }
    }
}
