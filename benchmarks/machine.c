/* What one core can do: compiled for the machine at hand by machine.py. */

#include <stdint.h>

typedef double vec __attribute__((vector_size(64), aligned(8), may_alias));

/* Sum of n doubles, a multiple of 128: as fast as memory is read. */
double read_all(const double *x, int64_t n)
{
    vec s[8] = {{0}};
    for (int64_t i = 0; i < n; i += 64)
#pragma GCC unroll 8
        for (int u = 0; u < 8; u++)
            s[u] += *(const vec *)(x + i + 8 * u);
    for (int u = 1; u < 8; u++)
        s[0] += s[u];
    double total = 0.0;
    for (int l = 0; l < 8; l++)
        total += s[0][l];
    return total;
}

/* Sum of some rows of a table in tiles: as fast as one point reads them. */
double read_rows(const double *x, const int64_t *offset, const int64_t *stride,
                 const int64_t *filled, int64_t ntile, const int64_t *rows, int64_t nrow)
{
    vec s[8] = {{0}};
    for (int64_t t = 0; t < ntile; t++)
        for (int64_t r = 0; r < nrow; r++) {
            const double *row = x + offset[t] + rows[r] * stride[t];
            int64_t i = 0;
            for (; i + 64 <= filled[t]; i += 64)
#pragma GCC unroll 8
                for (int u = 0; u < 8; u++)
                    s[u] += *(const vec *)(row + i + 8 * u);
            for (; i < filled[t]; i += 8)
                s[0] += *(const vec *)(row + i);
        }
    for (int u = 1; u < 8; u++)
        s[0] += s[u];
    double total = 0.0;
    for (int l = 0; l < 8; l++)
        total += s[0][l];
    return total;
}

/* n x 64 multiply-adds in registers: as fast as they are done. */
double multiply_add(int64_t n)
{
    vec s[8] = {{0}};
    vec a = {0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8};
    for (int64_t i = 0; i < n; i++)
#pragma GCC unroll 8
        for (int u = 0; u < 8; u++)
            s[u] = s[u] * a + a;
    double total = 0.0;
    for (int u = 0; u < 8; u++)
        for (int l = 0; l < 8; l++)
            total += s[u][l];
    return total;
}
