/* Sums of maps times the PSF over the pixels that an event sees. */

typedef struct {
    int64_t nmap;
    const double *content;  /* (nblock, nlat, nlon, nmap, LANES) */
    const uint8_t *shining; /* (nlat, nlon) whether a pixel has any content */
} maps;

/* Tables of a block of energies. */
typedef struct {
    const vec *raw, *means, *harmonics; /* of the first of these */
    int64_t nrad, each;                 /* vectors from one to the next */
} slabs;

INLINE slabs tables_of(const response *r, int64_t b)
{
    const int64_t first = b * r->nnode * r->nrad;
    return (slabs){(const vec *)r->raw + first, (const vec *)r->means + first,
                   (const vec *)r->harmonics + first, r->nrad,
                   r->nblock * r->nnode * r->nrad};
}

/* Mean PSF over a pixel that is a single value. */
INLINE vec mean_of_single(slabs t, single p)
{
    const vec *restrict row = t.means + p.row, *restrict high = row + t.nrad;
    const vec below = row[0] + p.next * (row[1] - row[0]);
    const vec above = high[0] + p.next * (high[1] - high[0]);
    return below + p.fraction * (above - below);
}

/* The same of one with `count` harmonics. */
INLINE vec mean_of_harmonic(slabs t, const harmonic *restrict p, int64_t count)
{
    const double next = p->mean.next, fraction = p->mean.fraction;
    vec mean = mean_of_single(t, p->mean);
    for (int64_t h = 0; h < count; h++) {
        const vec *restrict row = t.harmonics + h * t.each + p->mean.row, *high = row + t.nrad;
        const vec below = row[0] + next * (row[1] - row[0]);
        const vec above = high[0] + next * (high[1] - high[0]);
        mean += p->factors[h] * (below + fraction * (above - below));
    }
    /* Far out, where there is nothing, what is left out may be more than the mean. */
    return (vec)((ivec)mean & (mean > 0.0));
}

/* The same of one with several points. */
INLINE vec mean_of_several(slabs t, const member *restrict to, const points *restrict p)
{
    const vec *restrict low = t.raw + to->node * t.nrad;
    /* Four sums, of which none waits for another. */
    vec below = {0}, above = {0}, below_next = {0}, above_next = {0};
    for (int64_t q = to->first; q < to->first + to->npoint; q++) {
        const vec *restrict row = low + p->row[q];
        const double one = p->lower[q], next = p->upper[q];
        below += one * row[0];
        above += one * row[t.nrad];
        below_next += next * row[1];
        above_next += next * row[t.nrad + 1];
    }
    below += below_next;
    above += above_next;
    return below + to->fraction * (above - below);
}

/* What the sums of a block of energies are made of, and into: in registers, since for all that the
 * compiler knows a sum may lie over any of it. */
typedef struct {
    const vec *content; /* of the first of the maps that are done at a time */
    vec *sums;          /* (nnode, FEW) */
} summing;

/* Add a pixel's mean PSF, to `count` maps. */
INLINE void add_mean_of_pixel(summing to, vec mean, int64_t pixel, int64_t node, double fraction,
                              int64_t count)
{
    const vec more = fraction * mean, *restrict here = to.content + pixel;
    vec *restrict out = to.sums + node * FEW;
    for (int64_t c = 0; c < count; c++) {
        out[c] += (mean - more) * here[c];
        out[FEW + c] += more * here[c];
    }
}

/* Add single values at a lower offset node to `count` maps: those that are due, or the first. */
INLINE void sum_singles(summing to, slabs t, const single *restrict singles,
                        const int64_t *restrict due, int64_t size, int64_t node, int64_t count)
{
    vec *restrict out = to.sums + node * FEW;
    vec both[FEW] = {0}, high[FEW] = {0};
    for (int64_t n = 0; n < size; n++) {
        const single *restrict p = singles + (due ? due[n] : n);
        const vec mean = mean_of_single(t, *p), more = p->fraction * mean;
        const vec *restrict here = to.content + p->pixel;
        for (int64_t c = 0; c < count; c++) {
            both[c] += mean * here[c];
            high[c] += more * here[c];
        }
    }
    for (int64_t c = 0; c < count; c++) {
        out[c] += both[c] - high[c];
        out[FEW + c] += high[c];
    }
}

/* Those of the first so many that are within a haversine; returns how many. */
INLINE int64_t list_due(int64_t *restrict due, const double *restrict haversine, int64_t size,
                        double most)
{
    int64_t ndue = 0;
    for (int64_t n = 0; n < size; n++) {
        due[ndue] = n;
        ndue += haversine[n] <= most;
    }
    return ndue;
}

/* Add the pixels with some number of harmonics. */
INLINE void sum_harmonics(summing to, slabs t, const gathered *g, const double *most,
                          int64_t nblock, int64_t terms, int64_t count)
{
    const harmonic *restrict each = g->harmonics[terms - 1];
    for (int64_t i = 0; i < g->nharmonic[terms - 1]; i++) {
        const harmonic *p = each + i;
        if (p->haversine <= most[p->node * nblock])
            add_mean_of_pixel(to, mean_of_harmonic(t, p, terms), p->mean.pixel, p->node,
                              p->mean.fraction, count);
    }
}

/* sums (nnode, FEW) = maps x mean PSF of a block of energies, maps from `at` to `at + count`. */
INLINE void sum_block(vec *sums, const gathered *g, const view *v, const response *r,
                      const maps *m, int64_t npixel, int64_t b, int64_t at, int64_t count)
{
    const slabs t = tables_of(r, b);
    const summing to = {(const vec *)m->content + b * npixel * m->nmap + at, sums};
    const points several = g->several;
    const double *most = r->most + b;
    memset(sums + v->low * FEW, 0, (v->high - v->low) * FEW * sizeof *sums);
    for (int64_t k = v->low; k + 1 < v->high; k++) {
        const int64_t first = k * g->room, size = g->far.size[k];
        if (most[k * r->nblock] < v->most[k]) {
            const int64_t ndue
                = list_due(g->due, g->far.haversine + first, size, most[k * r->nblock]);
            sum_singles(to, t, g->singles + first, g->due, ndue, k, count);
        } else
            sum_singles(to, t, g->singles + first, NULL, size, k, count);
    }
    sum_harmonics(to, t, g, most, r->nblock, 1, count);
    sum_harmonics(to, t, g, most, r->nblock, 2, count);
    sum_harmonics(to, t, g, most, r->nblock, 3, count);
    sum_harmonics(to, t, g, most, r->nblock, 4, count);
    for (int64_t i = 0; i < g->nmember; i++) {
        const member *p = g->members + i;
        if (p->haversine <= most[p->node * r->nblock])
            add_mean_of_pixel(to, mean_of_several(t, p, &several), p->pixel, p->node, p->fraction,
                              count);
    }
}
