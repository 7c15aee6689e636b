/* The mixture sum of one point over tiles, for one set of instructions. kernel.c includes this file
 * once for each set, with
 *   LANES   doubles in a vector register
 *   BLOCK   vectors that are mixed at a time, so that sums and products stay in registers
 *   TARGET  attribute that allows the instructions
 *   WIDEN(p) vector of doubles from the floats at p
 *   ANY_NEGATIVE(x) true if a lane of a vector of integers is negative
 *   NAME(x) name of x in this set
 */

#define VEC NAME(vec)
#define BITS NAME(bits)
#define INLINE static inline __attribute__((always_inline)) TARGET

typedef double VEC __attribute__((vector_size(8 * LANES), aligned(8), may_alias));
typedef int64_t BITS __attribute__((vector_size(8 * LANES), aligned(8), may_alias));
typedef uint64_t NAME(ubits) __attribute__((vector_size(8 * LANES)));

INLINE VEC NAME(load)(const char *row, int64_t i, int single)
{
    if (single)
        return WIDEN((const float *)row + i);
    return *(const VEC *)((const double *)row + i);
}

/* s[u] = sum of scaled coefficient x row, for `count` vectors from datum `at` on. */
INLINE void NAME(mix)(VEC *s, int count, const mixture *m, int64_t at, int single, int64_t nterm)
{
    /* From zero, so that the compiler has no choice of which product to round. */
#pragma GCC unroll 8
    for (int u = 0; u < count; u++)
        s[u] = (VEC){0};
#pragma GCC unroll 8
    for (int64_t r = 0; r < nterm; r++) {
        const double c = m->scaled[r];
        const char *row = m->row[r];
#pragma GCC unroll 8
        for (int u = 0; u < count; u++)
            s[u] += c * NAME(load)(row, at + u * LANES, single);
    }
}

/* One in each lane from `left` on. */
INLINE void NAME(cover)(VEC *s, int count, int64_t left)
{
#pragma GCC unroll 8
    for (int u = 0; u < count; u++) {
        BITS inside = *(const BITS *)(LANE + u * LANES) < left;
        s[u] = (VEC)(((BITS)s[u] & inside) | (ONE & ~inside));
    }
}

/* Negative in each lane that is below the normal numbers; no x is negative or infinite. */
INLINE BITS NAME(below_normal)(VEC x)
{
    return (BITS)x - SMALLEST;
}

/* slope[r] += sum of row / s; one division for all vectors of the block. */
INLINE BITS NAME(divide)(const VEC *s, int count, const mixture *m, int64_t at, int single,
                         VEC *slope)
{
    VEC q[BLOCK];
    q[0] = s[0];
#pragma GCC unroll 8
    for (int u = 1; u < count; u++)
        q[u] = q[u - 1] * s[u];
    const BITS bad = NAME(below_normal)(q[count - 1]);
    VEC inverse = 1.0 / q[count - 1];
#pragma GCC unroll 8
    for (int u = count - 1; u > 0; u--) {
        q[u] = inverse * q[u - 1];
        inverse *= s[u];
    }
    q[0] = inverse;
    for (int64_t r = 0; r < m->nterm; r++) {
        VEC total = slope[r];
#pragma GCC unroll 8
        for (int u = 0; u < count; u++)
            total += q[u] * NAME(load)(m->row[r], at + u * LANES, single);
        slope[r] = total;
    }
    return bad;
}

#define OVER_LANES(x, operator)                                                \
    _Pragma("GCC unroll 3") for (int h = LANES / 2; h > 0; h /= 2) \
        (x) operator __builtin_shuffle(x, *(const BITS *)LANE ^ h)

INLINE double NAME(add_lanes)(VEC x)
{
    OVER_LANES(x, +=);
    return x[0];
}

INLINE double NAME(multiply_lanes)(VEC x)
{
    OVER_LANES(x, *=);
    return x[0];
}

INLINE int64_t NAME(add_exponents)(BITS x)
{
    OVER_LANES(x, +=);
    return x[0];
}

/* The product of all mixture values of a tile, times the product so far; 0 if it left the range of
 * normal numbers on the way. No mixture value exceeds 1, so that none brings a product back. */
INLINE int NAME(multiply)(const mixture *m, progress *out, int single, VEC *slope, int64_t nterm)
{
    const int64_t whole = m->filled & ~(int64_t)7;
    BITS exponent = {0}, bad = {0};
    VEC mantissa = (VEC){0} + 1.0;
    int64_t at = 0, chunks = 0;
#define STEP(count, covered)                                            \
    {                                                                   \
        VEC s[BLOCK];                                                   \
        NAME(mix)(s, count, m, at, single, nterm);                      \
        if (covered)                                                    \
            NAME(cover)(s, count, m->filled - at);                      \
        _Pragma("GCC unroll 8") for (int u = 0; u < (count); u++) p[u] *= s[u]; \
        if (slope)                                                      \
            bad |= NAME(divide)(s, count, m, at, single, slope);        \
        at += (count) * LANES;                                          \
    }
    do {
        VEC p[BLOCK];
#pragma GCC unroll 8
        for (int u = 0; u < BLOCK; u++)
            p[u] = (VEC){0} + 1.0;
        for (int k = 0; k < 8 && at + BLOCK * LANES <= whole; k++)
            STEP(BLOCK, 0)
        if (whole - at < BLOCK * LANES) {
            if (BLOCK > 4 && whole - at >= 4 * LANES)
                STEP(4, 0)
            if (whole - at >= 2 * LANES)
                STEP(2, 0)
            if (whole - at >= LANES)
                STEP(1, 0)
            if (m->filled > whole)
                STEP(8 / LANES, 1)
        }
        /* Two products of eight values have room in one exponent. */
#pragma GCC unroll 8
        for (int u = 0; u < BLOCK / 2; u++) {
            p[u] *= p[u + BLOCK / 2];
            bad |= NAME(below_normal)(p[u]);
            exponent += (BITS)((NAME(ubits))p[u] >> 52);
            p[u] = (VEC)(((BITS)p[u] & MANTISSA) | ONE);
        }
#pragma GCC unroll 3
        for (int h = BLOCK / 4; h > 0; h /= 2)
            for (int u = 0; u < h; u++)
                p[u] *= p[u + h];
        mantissa *= p[0];
        chunks++;
    } while (at < m->filled);
#undef STEP
    if (ANY_NEGATIVE(bad))
        return 0;
    /* Below 2^65: a tile of 512 data has at most 64 mantissas, each below 2. */
    const int64_t product = to_bits(out->mantissa * NAME(multiply_lanes)(mantissa));
    out->mantissa = from_bits((product & MANTISSA) | ONE);
    out->exponent += NAME(add_exponents)(exponent) - 1023 * chunks * BLOCK / 2 * LANES +
                     (product >> 52) - 1023 + m->filled * m->shift;
    return 1;
}

/* With the number of terms known to the compiler where it is small. */
INLINE int NAME(multiply_terms)(const mixture *m, progress *out)
{
#define CASE(n) \
    case n:     \
        return NAME(multiply)(m, out, 0, 0, n);
    switch (m->nterm) {
        CASE(2)
        CASE(3)
        CASE(4)
        CASE(5)
        CASE(6)
        CASE(8)
    }
#undef CASE
    return NAME(multiply)(m, out, 0, 0, m->nterm);
}

/* Logarithm of positive normal numbers: x = 2^e f with f in [sqrt 1/2, sqrt 2), and
 * ln f = 2 artanh z, z = (f - 1) / (f + 1), |z| < 0.172. */
INLINE VEC NAME(logarithm)(VEC x, VEC *e)
{
    const BITS above = (BITS)x - ROOT_HALF;
    const BITS biased = (BITS)((NAME(ubits))(above + (1024ll << 52)) >> 52);
    *e = (VEC)(biased | TWO_TO_52) - (0x1p52 + 1024.0);
    const VEC f = (VEC)((above & MANTISSA) + ROOT_HALF);
    const VEC z = (f - 1.0) / (f + 1.0), zz = z * z;
    VEC series = zz * (1.0 / 23);
#pragma GCC unroll 16
    for (int n = 21; n >= 3; n -= 2)
        series = zz * (series + 1.0 / n);
    return 2.0 * z + 2.0 * z * series;
}

/* The same for data of different multiplicity: a logarithm a datum. */
INLINE int NAME(add_logs)(const mixture *m, sum *out, int single, VEC *slope)
{
    enum { COUNT = 8 / LANES };
    BITS bad = {0};
    VEC exponents = {0}, logs = {0};
    for (int64_t at = 0; at < m->filled; at += 8) {
        VEC s[COUNT];
        NAME(mix)(s, COUNT, m, at, single, m->nterm);
        NAME(cover)(s, COUNT, m->filled - at);
#pragma GCC unroll 8
        for (int u = 0; u < COUNT; u++) {
            const VEC weight = *(const VEC *)(m->counts + at + u * LANES);
            VEC e;
            bad |= NAME(below_normal)(s[u]);
            logs += weight * NAME(logarithm)(s[u], &e);
            exponents += weight * (e + (double)m->shift);
            if (slope)
                for (int64_t r = 0; r < m->nterm; r++)
                    slope[r] += weight / s[u] * NAME(load)(m->row[r], at + u * LANES, single);
        }
    }
    if (ANY_NEGATIVE(bad))
        return 0;
    out->exponents += NAME(add_lanes)(exponents);
    out->logs += NAME(add_lanes)(logs);
    return 1;
}

/* Products of the data of one multiplicity so far, if there are any, into the totals. */
TARGET static void NAME(take_logs)(progress *state, int64_t count, double multiplicity)
{
    for (int64_t b = 0; multiplicity != 0.0 && b < count; b += LANES) {
        const int64_t few = count - b < LANES ? count - b : LANES;
        double mantissa[LANES], log[LANES], exponent[LANES];
        for (int64_t l = 0; l < LANES; l++)
            mantissa[l] = l < few ? state[b + l].mantissa : 1.0;
        *(VEC *)log = NAME(logarithm)(*(VEC *)mantissa, (VEC *)exponent);
        for (int64_t l = 0; l < few; l++) {
            progress *s = &state[b + l];
            s->total.exponents += multiplicity * ((double)s->exponent + exponent[l]);
            s->total.logs += multiplicity * log[l];
            s->mantissa = 1.0;
            s->exponent = 0;
        }
    }
}

/* One point on one tile. */
INLINE int NAME(add_tile)(const mixture *m, progress *out, int mixed, int single, VEC *slope)
{
    if (mixed)
        return slope ? (single ? NAME(add_logs)(m, &out->total, 1, slope)
                               : NAME(add_logs)(m, &out->total, 0, slope))
                     : (single ? NAME(add_logs)(m, &out->total, 1, 0)
                               : NAME(add_logs)(m, &out->total, 0, 0));
    if (slope)
        return single ? NAME(multiply)(m, out, 1, slope, m->nterm)
                      : NAME(multiply)(m, out, 0, slope, m->nterm);
    return single ? NAME(multiply)(m, out, 1, 0, m->nterm) : NAME(multiply_terms)(m, out);
}

/* Points order[0] to order[count - 1] over the tiles of a part. */
TARGET static void NAME(add_part)(const table *t, const scaled_points *p, const int64_t *order,
                                  int64_t count, progress *state, int64_t part)
{
    const points *given = &p->given;
    const int64_t nterm = given->nterm;
    const char *row[nterm];
    VEC slope[given->gradient ? nterm : 1];
    mixture m = {.nterm = nterm, .row = row};
    double multiplicity = 0.0;
    for (int64_t b = 0; b < count; b++)
        state[b] = (progress){1.0, 0, {0.0, 0.0}};
    for (int64_t tile = t->part[part]; tile < t->part[part + 1]; tile++) {
        const int mixed = t->multiplicity[tile] == 0.0;
        if (!mixed && t->multiplicity[tile] != multiplicity) {
            NAME(take_logs)(state, count, multiplicity);
            multiplicity = t->multiplicity[tile];
        }
        const int64_t segment = t->segment[tile], stride = t->stride[tile] * t->size;
        const int64_t row_set = given->nset > 1 ? segment : 0, own = given->nown > 1 ? segment : 0;
        const char *first = t->values + t->offset[tile] * t->size;
        /* Each point fetches a share of the next tile, if all points need most of it. */
        const int more = count * 2 >= t->nrow && tile + 1 < t->part[part + 1];
        wanted next = wanted_of(t, tile + more);
        const int64_t lines = more ? (t->nrow * next.bytes / LINE + count - 1) / count : 0;
        m.filled = t->filled[tile];
        m.counts = t->counts + t->counts_at[tile];
        for (int64_t b = 0; b < count; b++) {
            const int64_t set = order[b] * given->nown + own;
            const int64_t *rows = rows_of(given, order[b], row_set);
            double *gradient = given->gradient ? given->gradient + set * nterm : 0;
            m.shift = p->shift[set];
            m.scaled = p->scaled + set * nterm;
            if (m.shift == REFUSED) {
                state[b].total.logs = NAN;
                continue;
            }
            fetch_lines(&next, lines);
            if (b + 1 < count)
                fetch_starts(rows_of(given, order[b + 1], row_set), rows, nterm, first, stride);
            for (int64_t r = 0; r < nterm; r++)
                row[r] = first + rows[r] * stride;
            for (int64_t r = 0; gradient && r < nterm; r++)
                slope[r] = (VEC){0};
            if (!NAME(add_tile)(&m, &state[b], mixed, t->size == 4, gradient ? slope : 0)) {
                const double *coefficient = given->coefficients + set * nterm;
                add_each(t, tile, coefficient, row, nterm, &state[b].total, gradient);
                continue;
            }
            const double factor = power_of_two(-m.shift) * (mixed ? 1.0 : multiplicity);
            for (int64_t r = 0; gradient && r < nterm; r++)
                gradient[r] += NAME(add_lanes)(slope[r]) * factor;
        }
    }
    NAME(take_logs)(state, count, multiplicity);
}

#undef VEC
#undef BITS
#undef INLINE
#undef LANES
#undef BLOCK
#undef TARGET
#undef WIDEN
#undef ANY_NEGATIVE
#undef NAME
