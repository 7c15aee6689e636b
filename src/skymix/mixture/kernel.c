/* The mixture sum over all data: sum_i c_i ln sum_r coefficient_r table[r, i].
 *
 * The table is cut into tiles of some hundred data, which stay in cache while all points of a batch
 * pass over them. It is laid out (part, row, datum), each part of some tiles, so that a single point
 * reads long runs.
 *
 * The mixture values of a tile are multiplied; exponents are summed as integers and mantissas
 * multiplied apart, so that a logarithm is due only where the multiplicity of the data changes. Where a
 * product leaves the range of normal numbers the tile is done again datum by datum: zeros give -inf,
 * never a wrong finite number.
 *
 * A point's value depends on nothing but the table, its rows and its coefficients: each tile is done
 * in one order of operations, tiles are summed in fixed parts, parts in their order.
 *
 * GCC's vector extensions (GCC or Clang).
 */

#include "kernel.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#ifdef __x86_64__
#include <immintrin.h>
#endif

#define MANTISSA 0x000FFFFFFFFFFFFFll
#define ONE 0x3FF0000000000000ll
#define SMALLEST 0x0010000000000000ll /* normal number */
#define ROOT_HALF 0x3FE6A09E667F3BCDll
#define TWO_TO_52 0x4330000000000000ll
#define LN2 0x1.62e42fefa39efp-1
#define LN2_REST 0x1.abc9e3b39803fp-56

enum {
    POINTS = 512, /* of a block, whose rows and coefficients stay in cache beside a tile */
    FEW = 4096,   /* bytes that need no allocation */
    SAMPLE = 32,  /* points that tell which of their rows differ */
    LINE = 64,    /* bytes of a cache line */
    START = 512,  /* bytes of a row to fetch; the processor sees by itself how it goes on */
};

static const int64_t LANE[8] = {0, 1, 2, 3, 4, 5, 6, 7};

/* logs + ln 2 x exponents. */
typedef struct {
    double exponents, logs;
} sum;

/* A point on its way over tiles: total + multiplicity x ln(mantissa 2^exponent). */
typedef struct {
    double mantissa; /* from 1 to below 2 */
    int64_t exponent;
    sum total;
} progress;

/* Points with their coefficients scaled: those of a set add up to less than 1. */
typedef struct {
    points given;
    const int64_t *shift; /* (npoint, nown) power of two above their sum, or REFUSED */
    const double *scaled; /* coefficient x 2^-shift */
} scaled_points;

/* One point on one tile. */
typedef struct {
    int64_t nterm, filled, shift;
    const double *scaled;
    const char **row;
    const double *counts;
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

static inline double power_of_two(int64_t exponent)
{
    return from_bits((exponent + 1023) << 52);
}

#define REFUSED INT64_MIN /* a coefficient is negative or not a number, or the sum is too large */

static int64_t scale(const double *coefficients, int64_t nterm, double *scaled)
{
    double total = 0.0, lowest = 0.0;
    for (int64_t r = 0; r < nterm; r++) {
        total += coefficients[r];
        lowest = coefficients[r] < lowest ? coefficients[r] : lowest;
    }
    if (!(total < 0x1p1022) || lowest < 0.0)
        return REFUSED;
    /* A power of two, so that nothing is rounded. */
    const int64_t above = (to_bits(total) >> 52) - 1022, shift = above < -1000 ? -1000 : above;
    const double factor = power_of_two(-shift);
    for (int64_t r = 0; r < nterm; r++)
        scaled[r] = coefficients[r] * factor;
    return shift;
}

static inline double entry(const table *t, const char *row, int64_t i)
{
    return t->size == 4 ? ((const float *)row)[i] : ((const double *)row)[i];
}

/* Datum by datum, with exponents beyond those of a double. */
static void add_each(const table *t, int64_t tile, const double *coefficient, const char **row,
                     int64_t nterm, sum *out, double *gradient)
{
    const double *counts = t->counts + t->counts_at[tile], multiplicity = t->multiplicity[tile];
    for (int64_t i = 0; i < t->filled[tile]; i++) {
        const double weight = multiplicity != 0.0 ? multiplicity : counts[i];
        int highest = INT32_MIN, ec, ex;
        for (int64_t r = 0; r < nterm; r++) {
            const double c = frexp(coefficient[r], &ec), x = frexp(entry(t, row[r], i), &ex);
            if (c * x > 0.0 && ec + ex > highest)
                highest = ec + ex;
        }
        double s = 0.0;
        for (int64_t r = 0; r < nterm; r++) {
            const double c = frexp(coefficient[r], &ec), x = frexp(entry(t, row[r], i), &ex);
            if (c * x > 0.0)
                s += ldexp(c * x, ec + ex - highest);
        }
        out->logs += weight * log(s);
        if (s > 0.0)
            out->exponents += weight * (double)highest;
        for (int64_t r = 0; gradient && r < nterm; r++)
            gradient[r] += weight * ldexp(entry(t, row[r], i) / s, s > 0.0 ? -highest : 0);
    }
}

/* Rows of a point for the data of a tile. */
static inline const int64_t *rows_of(const points *p, int64_t point, int64_t row_set)
{
    return p->rows + (point * p->nset + row_set) * p->nterm;
}

/* The start of those rows that the next point does not share with this one comes to the nearest
 * cache. */
static inline void fetch_starts(const int64_t *next, const int64_t *rows, int64_t nterm,
                                const char *first, int64_t stride)
{
    for (int64_t r = 0; r < nterm; r++)
        for (int64_t byte = 0; next[r] != rows[r] && byte < START; byte += LINE)
            __builtin_prefetch(first + next[r] * stride + byte, 0, 3);
}

/* A tile that is wanted next. */
typedef struct {
    const char *at, *end; /* of a row */
    int64_t bytes, gap;   /* of a row, and from its end to the next */
} wanted;

static inline wanted wanted_of(const table *t, int64_t tile)
{
    const int64_t bytes = (t->filled[tile] * t->size + LINE - 1) / LINE * LINE;
    const char *at = t->values + t->offset[tile] * t->size;
    return (wanted){at, at + bytes, bytes, t->stride[tile] * t->size - bytes};
}

/* The next lines of it come to the second-level cache. */
static inline void fetch_lines(wanted *w, int64_t count)
{
    for (int64_t i = 0; i < count; i++, w->at += LINE) {
        if (w->at == w->end) {
            w->at += w->gap;
            w->end = w->at + w->bytes;
        }
        __builtin_prefetch(w->at, 0, 2);
    }
}

#define LANES 2
#define BLOCK 4
#define TARGET
#define WIDEN(p) ((VEC){(p)[0], (p)[1]})
#define ANY_NEGATIVE(x) ((x)[0] < 0 || (x)[1] < 0)
#define NAME(x) x##_baseline
#include "kernel_tile.h"

#ifdef __x86_64__
#define LANES 4
#define BLOCK 4
#define TARGET __attribute__((target("avx2,fma")))
#define WIDEN(p) (VEC) _mm256_cvtps_pd(_mm_loadu_ps(p))
#define ANY_NEGATIVE(x) _mm256_movemask_pd((__m256d)(x))
#define NAME(x) x##_avx2
#include "kernel_tile.h"

#define LANES 8
#define BLOCK 8
#define TARGET __attribute__((target("avx512f,avx512dq,avx512vl,avx2,fma")))
#define WIDEN(p) (VEC) _mm512_cvtps_pd(_mm256_loadu_ps(p)) /* GCC would take it in halves */
#define ANY_NEGATIVE(x) _mm512_movepi64_mask((__m512i)(x))
#define NAME(x) x##_avx512
#include "kernel_tile.h"
#endif

/* Highest set of instructions that this processor has: 0 the baseline, 1 AVX2 and FMA, 2 AVX-512. */
int64_t highest_level(void)
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

/* Points order[0] to order[count - 1] over the tiles of a part. */
static void add_part(const table *t, const scaled_points *p, const int64_t *order, int64_t count,
                     progress *state, int64_t part, sum *out)
{
#ifdef __x86_64__
    if (t->level == 2)
        add_part_avx512(t, p, order, count, state, part);
    else if (t->level == 1)
        add_part_avx2(t, p, order, count, state, part);
    else
#endif
        add_part_baseline(t, p, order, count, state, part);
    for (int64_t b = 0; b < count; b++)
        out[b] = state[b].total;
}

/* Tasks of one thread: every `threads`-th pair of a block of points and a part. A gradient is not
 * shared: there, all parts of a block are one task. Blocks go over the parts forwards and backwards in
 * turn, so that each finds in cache what the one before read last. */
typedef struct {
    const table *t;
    const scaled_points *p;
    const int64_t *order;
    sum *sums;        /* (npart, npoint) */
    progress *states; /* (threads, size) */
    int64_t size, first, threads;
    int backwards;
} share;

static void *work(void *argument)
{
    const share *w = argument;
    const int64_t npoint = w->p->given.npoint, npart = w->t->npart, shared = !w->p->given.gradient;
    progress *state = w->states + w->first * w->size;
    int64_t task = 0;
    int backwards = w->backwards;
    for (int64_t b = 0; b < npoint; b += w->size) {
        const int64_t count = b + w->size < npoint ? w->size : npoint - b;
        for (int64_t i = 0; i < npart; i++) {
            const int64_t part = backwards ? npart - 1 - i : i;
            if (task % w->threads == w->first)
                add_part(w->t, w->p, w->order + b, count, state, part,
                         w->sums + part * npoint + b);
            task += shared;
        }
        task += !shared;
        backwards = !backwards;
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

static int rows_exist(const table *t, const points *p)
{
    const uint64_t last = t->nrow - 1, count = p->npoint * p->nset * p->nterm;
    uint64_t signs = 0; /* the first bit is set if a row is negative or above the last */
    for (uint64_t i = 0; i < count; i++)
        signs |= (uint64_t)p->rows[i] | (last - (uint64_t)p->rows[i]);
    return !(signs >> 63);
}

/* Lowest row of a term, and how far above it the others are at most. */
static int64_t spread(const points *p, int64_t term, int64_t npoint, int64_t *lowest)
{
    int64_t low = INT64_MAX, high = 0;
    for (int64_t b = 0; b < npoint; b++) {
        const int64_t row = p->rows[b * p->nset * p->nterm + term];
        low = row < low ? row : low;
        high = row > high ? row : high;
    }
    *lowest = low;
    return high - low;
}

/* Points in the order of the row that differs most between some of them: neighbours share rows,
 * which are then in cache. */
static void arrange(const points *p, int64_t *order, int64_t *start)
{
    const int64_t stride = p->nset * p->nterm, some = p->npoint < SAMPLE ? p->npoint : SAMPLE;
    int64_t key = 0, widest = -1, least;
    for (int64_t r = 0; r < stride; r++) {
        const int64_t width = spread(p, r, some, &least);
        if (width > widest)
            widest = width, key = r;
    }
    const int64_t *row = p->rows + key, width = spread(p, key, p->npoint, &least);
    for (int64_t i = 0; i <= width + 1; i++)
        start[i] = 0;
    for (int64_t b = 0; b < p->npoint; b++)
        start[row[b * stride] - least + 1]++;
    for (int64_t i = 0; i < width; i++)
        start[i + 1] += start[i];
    for (int64_t b = 0; b < p->npoint; b++)
        order[start[row[b * stride] - least]++] = b;
}

static void total(const table *t, const sum *sums, const int64_t *order, int64_t npoint,
                  double *value)
{
    for (int64_t b = 0; b < npoint; b++) {
        double exponent = t->exponent, logs = 0.0;
        for (int64_t part = 0; part < t->npart; part++) {
            exponent += sums[part * npoint + b].exponents;
            logs += sums[part * npoint + b].logs;
        }
        const double high = exponent * LN2;
        value[order[b]] = high + (fma(exponent, LN2, -high) + exponent * LN2_REST + logs);
    }
}

/* Value of each point, (npoint), and its derivative by each coefficient if there is room for it.
 * 0, WRONG_ROW, or NO_MEMORY if memory or threads are short. */
int log_sum(const table *t, const points *p, int64_t threads, double *value)
{
    static atomic_uint calls;
    const int64_t npoint = p->npoint, nset = npoint * p->nown;
    if (npoint == 0)
        return 0;
    int64_t size = (npoint + threads - 1) / threads;
    size = size < POINTS ? size : POINTS;
    /* All of items of eight bytes. */
    const int64_t need[] = {threads * size * sizeof(progress), npoint * t->npart * sizeof(sum),
                            nset * p->nterm * 8, nset * 8, npoint * 8, (t->nrow + 2) * 8};
    int64_t all = 0, few[FEW / 8];
    for (int i = 0; i < 6; i++)
        all += need[i];
    char *at[6], *memory = all > FEW ? malloc(all) : (char *)few;
    if (!memory)
        return NO_MEMORY;
    at[0] = memory;
    for (int i = 0; i < 5; i++)
        at[i + 1] = at[i] + need[i];
    double *scaled = (double *)at[2];
    int64_t *shift = (int64_t *)at[3], *order = (int64_t *)at[4];
    int failed = WRONG_ROW;
    if (rows_exist(t, p)) {
        arrange(p, order, (int64_t *)at[5]);
        for (int64_t i = 0; i < nset; i++)
            shift[i] = scale(p->coefficients + i * p->nterm, p->nterm, scaled + i * p->nterm);
        const scaled_points q = {*p, shift, scaled};
        const unsigned call = atomic_fetch_add_explicit(&calls, 1, memory_order_relaxed);
        const share own = {t,    &q, order,   (sum *)at[1], (progress *)at[0],
                           size, 0,  threads, call % 2};
        failed = work_in_threads(own) ? 0 : NO_MEMORY;
    }
    if (!failed)
        total(t, (sum *)at[1], order, npoint, value);
    if (all > FEW)
        free(memory);
    return failed;
}
