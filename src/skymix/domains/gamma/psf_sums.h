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

/* The same of one with harmonics, one or all. */
INLINE vec mean_of_harmonic(slabs t, const harmonic *restrict p, int64_t due)
{
    const int64_t count = due == ONE ? 1 : HARMONICS;
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

/* What the sums of a block of energies are made of. */
typedef struct {
    slabs tables;
    const vec *content; /* of the first of the maps that are done at a time */
    const vec *share;   /* (nnode, 2) of each energy in that of the event; the rise to the next */
} summing;

/* Add a pixel's mean PSF to `count` maps, dispersed; dispersion is linear between offset nodes, as
 * the PSF is. */
INLINE void add_seen(vec *totals, summing from, vec mean, int64_t pixel, int64_t node,
                     double fraction, int64_t count)
{
    const vec *restrict low = from.share + 2 * node, *restrict here = from.content + pixel;
    const vec seen = mean * (low[0] + fraction * low[1]);
    for (int64_t c = 0; c < count; c++)
        totals[c] += seen * here[c];
}

/* Add single values to `count` maps: those that are due, or the first. */
INLINE void sum_singles(vec *totals, summing from, const single *restrict singles,
                        const int32_t *restrict due, int64_t size, int64_t count)
{
    for (int64_t n = 0; n < size; n++) {
        const single *restrict p = singles + (due ? due[n] : n);
        add_seen(totals, from, mean_of_single(from.tables, *p), p->pixel, p->node, p->fraction,
                 count);
    }
}

/* Those of the first so many singles that are within reach; returns how many. */
INLINE int64_t list_due(int32_t *restrict due, const single *restrict singles,
                        const double *restrict haversine, int64_t size,
                        const double *restrict most, int64_t ntrue)
{
    int64_t ndue = 0;
    for (int64_t n = 0; n < size; n++) {
        due[ndue] = n;
        ndue += haversine[n] <= most[singles[n].node * ntrue];
    }
    return ndue;
}

/* Add the pixels that have one of the harmonics, or all. */
INLINE void sum_harmonics(vec *totals, summing from, const gathered *g, const double *most,
                          int64_t ntrue, int64_t due, int64_t count)
{
    const harmonic *restrict each = g->harmonics[due - ONE];
    for (int64_t i = 0; i < g->nharmonic[due - ONE]; i++) {
        const harmonic *p = each + i;
        if (p->haversine <= most[p->mean.node * ntrue])
            add_seen(totals, from, mean_of_harmonic(from.tables, p, due), p->mean.pixel,
                     p->mean.node, p->mean.fraction, count);
    }
}

/* totals = maps x mean PSF x dispersion of a block of energies, maps from `at` to `at + count`. */
INLINE void sum_block(vec *totals, const gathered *g, const view *v, const response *r,
                      const maps *m, int64_t npixel, int64_t b, int64_t lowest, int64_t at,
                      int64_t count)
{
    const summing from = {tables_of(r, b), (const vec *)m->content + b * npixel * m->nmap + at,
                          v->share};
    const points several = g->several;
    const double *most = r->most + lowest;
    /* In registers, since for all that the compiler knows totals may lie anywhere. */
    vec sums[FEW] = {0};
    int all = 1;
    for (int64_t k = v->low; k + 1 < v->high; k++)
        all &= most[k * r->ntrue] >= v->most[k];
    if (all)
        sum_singles(sums, from, g->singles, NULL, g->far.size, count);
    else {
        const int64_t ndue = list_due(g->due, g->singles, g->far.haversine, g->far.size, most,
                                      r->ntrue);
        sum_singles(sums, from, g->singles, g->due, ndue, count);
    }
    sum_harmonics(sums, from, g, most, r->ntrue, ONE, count);
    sum_harmonics(sums, from, g, most, r->ntrue, ALL, count);
    for (int64_t i = 0; i < g->nmember; i++) {
        const member *p = g->members + i;
        if (p->haversine <= most[p->node * r->ntrue])
            add_seen(sums, from, mean_of_several(from.tables, p, &several), p->pixel, p->node,
                     p->fraction, count);
    }
    for (int64_t c = 0; c < count; c++)
        totals[c] = sums[c];
}
