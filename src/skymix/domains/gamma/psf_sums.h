/* Sums of maps times the PSF over the pixels that an event sees. */

typedef struct {
    int64_t nmap;
    const double *content;  /* (nblock, nlat, nlon, nmap, LANES) */
    const uint8_t *shining; /* (nlat, nlon) whether a pixel has any content */
} maps;

/* Mean PSF of a block of energies over a pixel that is a single point. */
INLINE vec mean_of_single(const singles *restrict p, int64_t i, const vec *restrict slabs,
                          int64_t nrad)
{
    const vec *restrict row = slabs + p->row[i];
    const double next = p->next[i];
    const vec below = row[0] + next * (row[1] - row[0]);
    const vec above = row[nrad] + next * (row[nrad + 1] - row[nrad]);
    return below + p->fraction[i] * (above - below);
}

/* The same of several; `npoint` is their number if not 0. */
INLINE vec mean_of_several(const member *restrict to, int64_t npoint, const points *restrict p,
                           const vec *restrict slabs, int64_t nrad)
{
    const vec *restrict low = slabs + to->node * nrad;
    const int64_t size = npoint ? npoint : to->npoint;
    /* Four sums, of which none waits for another. */
    vec below = {0}, above = {0}, below_next = {0}, above_next = {0};
    for (int64_t q = to->first; q < to->first + size; q++) {
        const vec *restrict row = low + p->row[q];
        const double one = p->lower[q], next = p->upper[q];
        below += one * row[0];
        above += one * row[nrad];
        below_next += next * row[1];
        above_next += next * row[nrad + 1];
    }
    below += below_next;
    above += above_next;
    return below + to->fraction * (above - below);
}

/* What the sums of a block of energies are made of, and into: in registers, since for all that the
 * compiler knows a sum may lie over any of it. */
typedef struct {
    int64_t nblock, nnode, nrad, nmap;
    const vec *tables, *content; /* of the first of the maps that are done at a time */
    const double *reach;
    vec *sums; /* (nnode, FEW) */
} summing;

/* Add the single points at a lower offset node, to `count` maps. */
INLINE void sum_singles(const summing t, const singles p, int64_t node, int64_t *restrict due,
                        int64_t count)
{
    const int64_t *restrict listed = p.listed + node * p.room;
    const double reach = t.reach[node * t.nblock];
    vec *restrict out = t.sums + node * FEW;
    vec low[FEW] = {0}, high[FEW] = {0};
    int64_t ndue = 0;
    /* Without a branch, which nobody could foresee. */
    for (int64_t n = 0; n < p.nlisted[node]; n++) {
        due[ndue] = listed[n];
        ndue += p.distance[listed[n]] <= reach;
    }
    for (int64_t n = 0; n < ndue; n++) {
        const int64_t i = due[n];
        const vec mean = mean_of_single(&p, i, t.tables, t.nrad), more = p.fraction[i] * mean;
        const vec *restrict here = t.content + p.pixel[i] * t.nmap;
        for (int64_t c = 0; c < count; c++) {
            low[c] += (mean - more) * here[c];
            high[c] += more * here[c];
        }
    }
    for (int64_t c = 0; c < count; c++) {
        out[c] += low[c];
        out[FEW + c] += high[c];
    }
}

/* Add the pixels of a table that have several points, `npoint` if not 0. */
INLINE void sum_members(summing t, const gathered *g, int64_t table, int64_t npoint, int64_t count)
{
    const points several = g->several;
    const member *restrict members = g->members[table];
    t.tables += table * t.nblock * t.nnode * t.nrad;
    for (int64_t i = 0; i < g->nmember[table]; i++) {
        const member *restrict to = members + i;
        if (to->distance > t.reach[to->node * t.nblock])
            continue;
        const vec mean = mean_of_several(to, npoint, &several, t.tables, t.nrad);
        const vec more = to->fraction * mean, *restrict here = t.content + to->pixel * t.nmap;
        vec *restrict out = t.sums + to->node * FEW;
        for (int64_t c = 0; c < count; c++) {
            out[c] += (mean - more) * here[c];
            out[FEW + c] += more * here[c];
        }
    }
}

/* sums (nnode, FEW) = maps x mean PSF of a block of energies, maps from `at` to `at + count`. */
INLINE void sum_block(vec *sums, const gathered *g, const view *v, const response *r,
                      const maps *m, int64_t npixel, int64_t b, int64_t at, int64_t count)
{
    const summing t = {
        r->nblock, r->nnode, r->nrad, m->nmap,
        (const vec *)r->tables + b * r->nnode * r->nrad,
        (const vec *)m->content + b * npixel * m->nmap + at,
        r->reach + b, sums};
    memset(sums + v->low * FEW, 0, (v->high - v->low) * FEW * sizeof *sums);
    for (int64_t k = v->low; k + 1 < v->high; k++)
        sum_singles(t, g->single, k, g->due, count);
    sum_members(t, g, 1, 4, count);
    sum_members(t, g, 2, 9, count);
    sum_members(t, g, RAW, 0, count);
}
