/* From parameters to the weights of leaves, and to rows of tables with their coefficients. */

#include "kernel.h"

#include <math.h>

enum { REST = -1, FIXED = -2 }; /* edges whose share is not a parameter, as in tree.py */

enum { TOGETHER = 64 }; /* points of which the weights are found together */

#define SLACK 1e-9 /* of a cell, that rounding may lead outside the grid */

static inline double parameter(const parameters *theta, int64_t point, int64_t column)
{
    return *(const double *)(theta->values + point * theta->by_point + column * theta->by_column);
}

/* Weights at the end of an edge: those before it times its share, or what the edges since the last
 * split have left. */
static void follow(const tree *t, int64_t edge, const parameters *theta, const double *before,
                   double *left, double *weight)
{
    const int64_t column = t->column[edge], npoint = theta->npoint;
    const double fixed = t->fixed[edge];
    if (column == FIXED)
        for (int64_t i = 0; i < npoint; i++)
            weight[i] = before[i] * fixed;
    else if (column == REST)
        for (int64_t i = 0; i < npoint; i++) {
            weight[i] = before[i] * (left[i] > 0.0 ? left[i] : 0.0);
            left[i] = 1.0;
        }
    else
        for (int64_t i = 0; i < npoint; i++) {
            const double share = parameter(theta, i, column);
            weight[i] = before[i] * share;
            left[i] -= share;
        }
}

/* Weights of the leaves of each point, products of shares along the edges: a leaf's at its number
 * among the `stride` entries of the point. */
void leaf_weights(const tree *t, const parameters *theta, int64_t stride, double *weights)
{
    double weight[t->nedge + 1][TOGETHER], left[TOGETHER];
    const int64_t most = theta->npoint < TOGETHER ? theta->npoint : TOGETHER;
    for (int64_t i = 0; i < most; i++)
        weight[0][i] = left[i] = 1.0;
    for (int64_t start = 0; start < theta->npoint; start += TOGETHER) {
        parameters some = *theta;
        some.values += start * theta->by_point;
        some.npoint = theta->npoint - start < most ? theta->npoint - start : most;
        for (int64_t e = 0; e < t->nedge; e++) {
            follow(t, e, &some, weight[t->parent[e]], left, weight[e + 1]);
            for (int64_t i = 0; t->leaf[e] >= 0 && i < some.npoint; i++)
                weights[(start + i) * stride + t->leaf[e]] = weight[e + 1][i];
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

/* An axis of a table, and how many rows lie between its nodes. */
typedef struct {
    const double *positions;
    int64_t column, logarithmic, nodes, step;
    double per_position; /* nodes */
} axis;

static axis axis_of(const interpolation *t, int64_t a, int64_t step)
{
    const double *positions = t->positions + t->start[a];
    const int64_t nodes = t->start[a + 1] - t->start[a];
    const double per_position = (nodes - 1) / (positions[nodes - 1] - positions[0]);
    return (axis){positions, t->column[a], t->logarithmic[a], nodes, step, per_position};
}

/* Of the first `count` terms of each point make twice as many, by interpolation along an axis. */
static void interpolate(const axis *of, const parameters *theta, int64_t count, int64_t nterm,
                        int64_t *restrict rows, double *restrict coefficients)
{
    const axis a = *of;
    const int64_t npoint = theta->npoint;
    for (int64_t i = 0; i < npoint; i++, rows += nterm, coefficients += nterm) {
        const double value = parameter(theta, i, a.column), x = a.logarithmic ? log(value) : value;
        double upper;
        const int64_t row = a.step * place(x, a.positions, a.nodes, a.per_position, &upper);
        for (int64_t low = 0; low < count; low++) {
            rows[low] += row;
            rows[low + count] = rows[low] + a.step;
            coefficients[low + count] = coefficients[low] * upper;
            coefficients[low] *= 1.0 - upper;
        }
    }
}

/* Rows and coefficients, (npoint, nterm), of interpolation in each table: its terms follow those of
 * the one before, and double with each of its axes. On entry the first coefficient of each table is
 * the factor of all of them. */
void fill_terms(const interpolation *t, const parameters *theta, int64_t nterm, int64_t *rows,
                double *coefficients)
{
    for (int64_t k = 0; k < t->ntable; k++) {
        int64_t count = 1, step = 1;
        const int64_t first = t->offset[k], npoint = theta->npoint;
        for (int64_t i = 0; i < npoint; i++)
            rows[i * nterm] = first;
        for (int64_t a = t->first_axis[k]; a < t->first_axis[k + 1]; a++)
            step *= t->start[a + 1] - t->start[a];
        for (int64_t a = t->first_axis[k]; a < t->first_axis[k + 1]; a++, count *= 2) {
            step /= t->start[a + 1] - t->start[a];
            const axis along = axis_of(t, a, step);
            interpolate(&along, theta, count, nterm, rows, coefficients);
        }
        rows += count;
        coefficients += count;
    }
}
