/* The mixture sum over all data: sum_i c_i ln sum_r coefficient_r table[r, i].
 *
 * The table is cut into tiles of some hundred data, laid out (tile, row, datum), which stay in cache
 * while all points of a batch pass over them. The mixture values of a tile are multiplied; exponents
 * are summed as integers and mantissas multiplied apart, so that a logarithm is due only where the
 * multiplicity of the data changes. Where a product leaves the range of normal numbers the tile is
 * done again datum by datum: zeros give -inf, never a wrong finite number.
 *
 * A point's value depends on nothing but the table, its rows and its coefficients: each tile is done
 * in one order of operations, tiles are summed in fixed parts, parts in their order.
 *
 * Plain C with GCC's vector extensions (GCC or Clang); no part of Python's C interface.
 */

#include <math.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#ifdef __x86_64__
#include <immintrin.h>
#endif

#define MANTISSA 0x000FFFFFFFFFFFFFll
#define ONE 0x3FF0000000000000ll
#define ROOT_HALF 0x3FE6A09E667F3BCDll
#define TWO_TO_52 0x4330000000000000ll
#define BAD (1ll << 40) /* more than any sum of exponents in a tile */
#define LN2 0x1.62e42fefa39efp-1
#define LN2_REST 0x1.abc9e3b39803fp-56

enum { POINTS = 512 }; /* of a block, whose rows and coefficients stay in cache beside a tile */

static const int64_t LANE[8] = {0, 1, 2, 3, 4, 5, 6, 7};

/* As kernel.py fills it: eight bytes a member. */
typedef struct {
    const char *values;         /* each entry over a power of two above the largest of its column */
    const int64_t *offset;      /* (ntile) first entry of a tile */
    const int64_t *width;       /* (ntile) entries of a row of the tile, a multiple of eight */
    const int64_t *filled;      /* (ntile) data of the tile, at least one */
    const int64_t *segment;     /* (ntile) coefficient set of its data */
    const double *multiplicity; /* (ntile) of all its data, 0 where they differ */
    const int64_t *counts_at;   /* (ntile) where they differ: first entry in counts */
    const double *counts;       /* multiplicities one by one */
    const int64_t *part;        /* (npart + 1) first tile of each part */
    int64_t npart, nrow, nsegment;
    int64_t single; /* entries are float, not double */
    int64_t level;  /* set of instructions */
    double exponent; /* sum of multiplicity x power of two */
} table;

typedef struct {
    int64_t npoint, nset, nown, nterm; /* nset: sets of rows, nown: of coefficients; 1 or nsegment */
    const int64_t *rows;               /* (npoint, nset, nterm) */
    const double *coefficients;        /* (npoint, nown, nterm) */
    double *gradient;                  /* as coefficients, or null */
} points;

/* Sum so far: logs + ln 2 x exponents + multiplicity x ln(mantissa 2^exponent). */
typedef struct {
    double mantissa;
    int64_t exponent;
    double exponents, logs;
} sum;

/* Points that pass over a part together. */
typedef struct {
    int64_t npoint;
    const int64_t *order;
    sum *sums;
} block;

/* One point on one tile. */
typedef struct {
    int64_t nterm, filled;
    const double *coefficient;
    int64_t shift;  /* power of two above their sum */
    double scale;   /* 2^-shift */
    double *scaled; /* coefficient x scale: they add up to less than 1 */
    const char **row;
    const double *counts;
    double *gradient;
} mixture;

static inline int64_t to_bits(double x)
{
    int64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline double from_bits(int64_t bits)
{
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* x = 2^exponent x [1/2, 1) for a positive normal number. */
static inline int64_t exponent_of(double x)
{
    return (to_bits(x) >> 52) - 1022;
}

/* False if a coefficient is negative or not a number, or their sum is not below 2^1022. */
static inline int describe(mixture *m, const table *t, int64_t tile, const points *p, int64_t b)
{
    const int64_t segment = t->segment[tile], size = t->single ? 4 : 8;
    const int64_t *rows = p->rows + (b * p->nset + (p->nset > 1 ? segment : 0)) * p->nterm;
    const int64_t set = (b * p->nown + (p->nown > 1 ? segment : 0)) * p->nterm;
    const double *coefficients = p->coefficients + set;
    const char *first = t->values + t->offset[tile] * size;
    double total = 0.0, lowest = 0.0;
    for (int64_t r = 0; r < p->nterm; r++) {
        total += coefficients[r];
        lowest = coefficients[r] < lowest ? coefficients[r] : lowest;
        m->row[r] = first + rows[r] * t->width[tile] * size;
    }
    if (!(total < 0x1p1022) || lowest < 0.0)
        return 0;
    /* A power of two, so that nothing is rounded. */
    m->shift = exponent_of(total) < -1000 ? -1000 : exponent_of(total);
    m->scale = from_bits((1023 - m->shift) << 52);
    for (int64_t r = 0; r < p->nterm; r++)
        m->scaled[r] = coefficients[r] * m->scale;
    m->coefficient = coefficients;
    m->filled = t->filled[tile];
    m->counts = t->counts + t->counts_at[tile];
    m->gradient = p->gradient ? p->gradient + set : 0;
    return 1;
}

/* The product so far, for a positive normal number. */
static inline void set_product(sum *s, double product)
{
    s->exponent += exponent_of(product) - 1;
    s->mantissa = from_bits((to_bits(product) & MANTISSA) | ONE);
}

static void take_logs(const block *k, double multiplicity)
{
    for (int64_t b = 0; b < k->npoint; b++) {
        sum *s = &k->sums[b];
        s->exponents += multiplicity * (double)s->exponent;
        s->logs += multiplicity * log(s->mantissa);
        s->mantissa = 1.0;
        s->exponent = 0;
    }
}

static inline double entry(const table *t, const char *row, int64_t i)
{
    return t->single ? ((const float *)row)[i] : ((const double *)row)[i];
}

/* Datum by datum, with exponents beyond those of a double. */
static void add_each(const table *t, const mixture *m, int64_t tile, sum *out, double *gradient)
{
    for (int64_t i = 0; i < m->filled; i++) {
        const double weight =
            t->multiplicity[tile] != 0.0 ? t->multiplicity[tile] : m->counts[i];
        int highest = INT32_MIN, ec, ex;
        for (int64_t r = 0; r < m->nterm; r++) {
            const double c = frexp(m->coefficient[r], &ec), x = frexp(entry(t, m->row[r], i), &ex);
            if (c * x > 0.0 && ec + ex > highest)
                highest = ec + ex;
        }
        double s = 0.0;
        for (int64_t r = 0; r < m->nterm; r++) {
            const double c = frexp(m->coefficient[r], &ec), x = frexp(entry(t, m->row[r], i), &ex);
            if (c * x > 0.0)
                s += ldexp(c * x, ec + ex - highest);
        }
        out->logs += weight * log(s);
        if (s > 0.0)
            out->exponents += weight * (double)(highest);
        for (int64_t r = 0; gradient && r < m->nterm; r++)
            gradient[r] += weight *
                ldexp(entry(t, m->row[r], i) / s, s > 0.0 ? -highest : 0);
    }
}

#define LANES 2
#define BLOCK 4
#define TARGET
#define WIDEN(p) ((VEC){(p)[0], (p)[1]})
#define NAME(x) x##_baseline
#include "kernel_tile.h"

#ifdef __x86_64__
#define LANES 4
#define BLOCK 4
#define TARGET __attribute__((target("avx2,fma")))
#define WIDEN(p) (VEC) _mm256_cvtps_pd(_mm_loadu_ps(p))
#define NAME(x) x##_avx2
#include "kernel_tile.h"

#define LANES 8
#define BLOCK 8
#define TARGET __attribute__((target("avx512f,avx512dq,avx512vl,avx2,fma")))
#define WIDEN(p) (VEC) _mm512_cvtps_pd(_mm256_loadu_ps(p)) /* GCC would take it in halves */
#define NAME(x) x##_avx512
#include "kernel_tile.h"
#endif

/* Highest set of instructions that this processor has. */
int64_t skymix_level(void)
{
#ifdef __x86_64__
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                       __builtin_cpu_supports("avx512vl")
                   ? 2
                   : 1;
#endif
    return 0;
}

static void add_part(const table *t, const points *p, const block *k, int64_t part)
{
    for (int64_t b = 0; b < k->npoint; b++)
        k->sums[b] = (sum){1.0, 0, 0.0, 0.0};
#ifdef __x86_64__
    if (t->level == 2) {
        add_part_avx512(t, p, k, part);
        return;
    }
    if (t->level == 1) {
        add_part_avx2(t, p, k, part);
        return;
    }
#endif
    add_part_baseline(t, p, k, part);
}

/* Tasks of one thread: every `threads`-th pair of a block and a part. A gradient is not shared:
 * there, all parts of a block are one task. */
typedef struct {
    const table *t;
    const points *p;
    const int64_t *order;
    sum *sums; /* (npart, npoint) */
    int64_t size, first, threads;
} share;

static void *work(void *argument)
{
    const share *w = argument;
    const int64_t npoint = w->p->npoint, npart = w->t->npart;
    int64_t task = 0;
    for (int64_t b = 0; b < npoint; b += w->size) {
        block k = {b + w->size < npoint ? w->size : npoint - b, w->order + b, 0};
        for (int64_t part = 0; part < npart; part++) {
            k.sums = w->sums + part * npoint + b;
            if (task % w->threads == w->first)
                add_part(w->t, w->p, &k, part);
            task += !w->p->gradient;
        }
        task += w->p->gradient != 0;
    }
    return 0;
}

static int work_in_threads(share own)
{
    pthread_t thread[own.threads];
    share of[own.threads];
    int64_t started = 1;
    for (; started < own.threads; started++) {
        of[started] = own;
        of[started].first = started;
        if (pthread_create(&thread[started], 0, work, &of[started]))
            break;
    }
    const int complete = started == own.threads;
    if (complete)
        work(&own);
    for (int64_t i = 1; i < started; i++)
        pthread_join(thread[i], 0);
    return complete;
}

/* Points in the order of the row that differs most between them: neighbours share rows, which are
 * then in cache. False if a row is not one of the table. */
static int arrange(const table *t, const points *p, int64_t *order, int64_t *start)
{
    const int64_t stride = p->nset * p->nterm;
    int64_t key = 0, widest = -1, least = 0;
    for (int64_t r = 0; r < stride; r++) {
        int64_t low = INT64_MAX, high = INT64_MIN;
        for (int64_t b = 0; b < p->npoint; b++) {
            const int64_t row = p->rows[b * stride + r];
            low = row < low ? row : low;
            high = row > high ? row : high;
        }
        if (low < 0 || high >= t->nrow)
            return 0;
        if (high - low > widest)
            widest = high - low, key = r, least = low;
    }
    for (int64_t i = 0; i <= widest + 1; i++)
        start[i] = 0;
    for (int64_t b = 0; b < p->npoint; b++)
        start[p->rows[b * stride + key] - least + 1]++;
    for (int64_t i = 0; i < widest; i++)
        start[i + 1] += start[i];
    for (int64_t b = 0; b < p->npoint; b++)
        order[start[p->rows[b * stride + key] - least]++] = b;
    return 1;
}

/* Value of each point, (npoint), and its derivative by each coefficient if `gradient` is not null.
 * 0 if all went well, 1 if a row is not one of the table, 2 if memory or threads are short. */
int64_t skymix_log_sum(const table *t, const int64_t *rows, const double *coefficients,
                       int64_t npoint, int64_t nset, int64_t nown, int64_t nterm, int64_t threads,
                       double *value, double *gradient)
{
    const points p = {npoint, nset, nown, nterm, rows, coefficients, gradient};
    if (npoint == 0)
        return 0;
    int64_t *order = malloc((npoint + t->nrow + 2) * sizeof *order);
    sum *sums = malloc((npoint * t->npart + 1) * sizeof *sums);
    int64_t failed = 2;
    if (!order || !sums)
        goto done;
    failed = 1;
    if (!arrange(t, &p, order, order + npoint))
        goto done;
    int64_t size = (npoint + threads - 1) / threads;
    size = size < POINTS ? size : POINTS;
    failed = 2;
    if (!work_in_threads((share){t, &p, order, sums, size, 0, threads}))
        goto done;
    for (int64_t b = 0; b < npoint; b++) {
        double exponent = t->exponent, logs = 0.0;
        for (int64_t part = 0; part < t->npart; part++) {
            exponent += sums[part * npoint + b].exponents;
            logs += sums[part * npoint + b].logs;
        }
        const double high = exponent * LN2;
        value[order[b]] = high + (fma(exponent, LN2, -high) + exponent * LN2_REST + logs);
    }
    failed = 0;
done:
    free(order);
    free(sums);
    return failed;
}
