/* The PSF from true directions to events at their own coordinates, and from points to data pixels.
 *
 * For each event the true pixels within reach are gathered once: their distances, as nodes of the
 * radial tables and weights between them. Then true energies are visited in blocks of eight, which
 * are one vector: tables and maps are laid out by block, so that the inner loops have neither
 * remainder nor gather.
 *
 * The mean of the PSF over a pixel is a quadrature. Where the PSF is smooth over the pixel, few
 * points on a table that is itself a mean over a square do instead: a square turned by 22.5 deg has
 * no fourfold term, and squares of a half or a third of the side, at a distance from each other
 * that makes their variance that of the pixel, stand for a pixel of any ratio of sides.
 *
 * A point on the true sky is seen by data pixels as an event sees true pixels.
 *
 * Angles are in rad. Plain C with GCC's vector extensions (GCC or Clang); no part of Python's C
 * interface. psf_events.py fills the structures, eight bytes a member. Every function is in one
 * translation unit, so that each set of instructions has its own copy of all of them.
 */

#include "psf_common.h"
#include "psf_means.h"
#include "psf_pixels.h"

typedef struct {
    int64_t nmap;
    const double *content;  /* (nblock, nlat, nlon, nmap, LANES) */
    const uint8_t *shining; /* (nlat, nlon) whether a pixel has any content */
} maps;

typedef struct {
    int64_t nevent;
    const int64_t *order;             /* (nevent) in which they are done */
    const double *energy;             /* TeV */
    const double *lon, *lat, *offset; /* offset: angle to the pointing */
    const int64_t *windows;           /* (nmap, nevent, 2) half-open range of true energies */
    const int64_t *core;              /* (nevent, 2) range whose PSF sets the quadrature */
    const double *edges; /* (nevent, ntrue + 1) place of each true edge among the cumulative's nodes */
} events;

static void look(view *v, const response *r, const events *ev, int64_t nmap, int64_t n)
{
    const int64_t *core = ev->core + 2 * n;
    v->start = r->ntrue;
    v->stop = 0;
    for (int64_t c = 0; c < nmap; c++) {
        const int64_t *w = ev->windows + (c * ev->nevent + n) * 2;
        if (w[0] < w[1]) {
            v->start = w[0] < v->start ? w[0] : v->start;
            v->stop = w[1] > v->stop ? w[1] : v->stop;
        }
    }
    v->first = v->start / LANES;
    v->last = (v->stop + LANES - 1) / LANES;
    v->radius = -1.0;
    for (int64_t k = 0; k + 1 < r->nnode; k++) {
        double farthest = 0.0, narrow = INFINITY;
        for (int64_t b = v->first; b < v->last; b++)
            farthest = larger(farthest, r->reach[k * r->nblock + b]);
        v->farthest[k] = -1.0;
        if (r->offsets[k] - farthest > ev->offset[n] || ev->offset[n] > r->offsets[k + 1] + farthest)
            continue;
        v->farthest[k] = farthest;
        v->radius = larger(v->radius, farthest);
        for (int64_t b = core[0] / LANES; b * LANES < core[1]; b++)
            narrow = smaller(narrow, r->scale[k * r->nblock + b]);
        v->narrow[k] = narrow;
        const int64_t bins = 1 + (int64_t)(sqrt(farthest / r->rad_max) * (r->nrad - 1)) / STRIDE;
        uint8_t *restrict least = v->least + k * r->nbin;
        for (int64_t b = v->first; b < v->last; b++) {
            const uint8_t *restrict due = r->least + (k * r->nblock + b) * r->nbin;
            for (int64_t i = 0; i < (bins < r->nbin ? bins : r->nbin); i++)
                least[i] = due[i] > least[i] || b == v->first ? due[i] : least[i];
        }
    }
}

/* Mean PSF of a block of energies over a pixel; `npoint` is the number of its points if not 0. */
INLINE vec mean_of(const member *restrict to, int64_t npoint, const vec *restrict low, int64_t nrad,
                   const double *restrict lower, const double *restrict upper,
                   const int64_t *restrict rows)
{
    const int64_t size = npoint ? npoint : to->npoint;
    vec below = {0}, above = {0};
    for (int64_t q = to->first; q < to->first + size; q++) {
        const vec *restrict row = low + rows[q];
        const double one = lower[q], next = upper[q];
        below += one * row[0];
        above += one * row[nrad];
        below += next * row[1];
        above += next * row[nrad + 1];
    }
    return below + to->fraction * (above - below);
}

/* sums (nnode, FEW) += maps x mean PSF of a block of energies, maps from `at` to `at + count`, for
 * the pixels that use a table; `npoint` is theirs, 0 if it differs. */
INLINE void spread(vec *restrict sums, const gathered *g, int64_t table, int64_t npoint,
                   const response *r, const maps *m, int64_t npixel, int64_t b, int64_t at,
                   int64_t count)
{
    /* In registers: for all that the compiler knows, a sum may lie over any of these. */
    const int64_t nblock = r->nblock, nrad = r->nrad, nmap = m->nmap, nmember = g->nmember[table];
    const vec *restrict slabs = (const vec *)r->tables + (table * nblock + b) * r->nnode * nrad;
    const vec *restrict content = (const vec *)m->content + b * npixel * nmap + at;
    const double *restrict reach = r->reach + b;
    const points *p = table ? &g->several : &g->single;
    const double *restrict lower = p->lower, *restrict upper = p->upper;
    const int64_t *restrict rows = p->row;
    const member *restrict members = g->members[table];
    for (int64_t i = 0; i < nmember; i++) {
        const member *restrict to = members + i;
        const int64_t k = to->node;
        if (to->distance > reach[k * nblock])
            continue;
        const double fraction = to->fraction;
        const vec mean = mean_of(to, npoint, slabs + k * nrad, nrad, lower, upper, rows);
        const vec *restrict here = content + to->pixel * nmap;
        vec *restrict out = sums + k * FEW;
        for (int64_t c = 0; c < count; c++) {
            const vec seen = mean * here[c], more = fraction * seen;
            out[c] += seen - more;
            out[FEW + c] += more;
        }
    }
}

INLINE void spread_all(vec *sums, const gathered *g, const response *r, const maps *m,
                       int64_t npixel, int64_t b, int64_t at, int64_t count)
{
    spread(sums, g, 0, 1, r, m, npixel, b, at, count);
    spread(sums, g, 1, 4, r, m, npixel, b, at, count);
    spread(sums, g, 2, 9, r, m, npixel, b, at, count);
    spread(sums, g, RAW, 0, r, m, npixel, b, at, count);
}

INLINE double interpolate(const double *table, int64_t size, double place)
{
    const double at = place < 0.0 ? 0.0 : (place > size - 1.0 ? size - 1.0 : place);
    const int64_t i = (int64_t)at < size - 2 ? (int64_t)at : size - 2;
    return table[i] + (at - i) * (table[i + 1] - table[i]);
}

/* Density of the event's energy from each true energy of a block, TeV-1. */
INLINE void disperse(double *share, const view *v, const response *r, const double *edges,
                     double energy, int64_t b, int64_t node)
{
    for (int64_t l = 0; l < LANES; l++) {
        const int64_t e = b * LANES + l;
        double p = 0.0;
        if (e >= v->start && e < v->stop && edges[e] > 0.0 && edges[e + 1] < r->ny - 1) {
            const double *table = r->cumulative + (node * r->ntrue + e) * r->ny;
            p = interpolate(table, r->ny, edges[e]) - interpolate(table, r->ny, edges[e + 1]);
        }
        share[l] = p > 0.0 ? p / (r->widths[e] * energy) : 0.0;
    }
}

/* Sums over the true sky at one event, for all maps. */
CLONES static int see(gathered *g, view *v, const response *r, const sky *s, const maps *m,
                      const events *ev, int64_t n, vec *sums, double *out)
{
    look(v, r, ev, m->nmap, n);
    if (v->first >= v->last || v->radius < 0.0)
        return 0;
    if (gather(g, v, r, s, m->shining, ev->lon[n], ev->lat[n]))
        return 1;
    int64_t low = r->nnode, high = 0;
    for (int64_t t = 0; t <= SQUARES; t++)
        for (int64_t i = 0; i < g->nmember[t]; i++) {
            const int64_t k = g->members[t][i].node;
            low = k < low ? k : low;
            high = k + 2 > high ? k + 2 : high;
        }
    for (int64_t b = v->first; b < v->last; b++) {
        for (int64_t k = low; k < high; k++)
            disperse(v->share + k * LANES, v, r, ev->edges + n * (r->ntrue + 1),
                     ev->energy[n], b, k);
        for (int64_t at = 0; at < m->nmap; at += FEW) {
            const int64_t count = m->nmap - at < FEW ? m->nmap - at : FEW;
            if (low < high)
                memset(sums + low * FEW, 0, (high - low) * FEW * sizeof *sums);
            if (count == 1)
                spread_all(sums, g, r, m, s->nlat * s->nlon, b, at, 1);
            else if (count == 2)
                spread_all(sums, g, r, m, s->nlat * s->nlon, b, at, 2);
            else
                spread_all(sums, g, r, m, s->nlat * s->nlon, b, at, count);
            for (int64_t c = at; c < at + count; c++) {
                const int64_t *w = ev->windows + (c * ev->nevent + n) * 2;
                double *to = out + (c * ev->nevent + n) * r->ntrue;
                for (int64_t e = b * LANES > w[0] ? b * LANES : w[0];
                     e < (b + 1) * LANES && e < w[1]; e++)
                    for (int64_t k = low; k < high; k++)
                        to[e] += v->share[k * LANES + e % LANES]
                                 * ((double *)(sums + k * FEW + c - at))[e % LANES];
            }
        }
    }
    return 0;
}

/* out (nmap, nevent, ntrue), zero on entry: dispersion x PSF x maps, summed over the true sky.
 *
 * Returns 1 if there is no memory.
 */
int64_t skymix_maps_to_events(const response *r, const sky *s, const maps *m, const events *ev,
                              double *out)
{
    gathered g;
    view v;
    vec *sums = malloc(r->nnode * FEW * sizeof *sums);
    int failed = reserve(&g, &v, r, s) || !sums;
    for (int64_t n = 0; n < ev->nevent && !failed; n++)
        failed = see(&g, &v, r, s, m, ev, ev->order[n], sums, out);
    release(&g, &v);
    free(sums);
    return failed;
}

/* Directions on the true sky with their contents. */
typedef struct {
    int64_t npoint;
    const double *lon, *lat;
    const int64_t *node; /* lower offset node, and distance to the next */
    const double *fraction;
    const double *content; /* (npoint, nblock, LANES) */
} directions;

/* What one point adds to the data pixels in a block of energies. */
CLONES static int shine(gathered *g, view *v, const response *r, const sky *s, const directions *d,
                        const uint8_t *shining, int64_t n, int64_t b, double *sums)
{
    const int64_t k = d->node[n], at = k * r->nblock + b, left = r->ntrue - b * LANES;
    const vec content = *(const vec *)(d->content + (n * r->nblock + b) * LANES);
    v->radius = v->farthest[k] = r->reach[at];
    v->narrow[k] = r->scale[at];
    memcpy(v->least + k * r->nbin, r->least + at * r->nbin, r->nbin);
    if (gather(g, v, r, s, shining, d->lon[n], d->lat[n]))
        return 1;
    for (int64_t t = 0; t <= SQUARES; t++) {
        const points *p = t ? &g->several : &g->single;
        const vec *slab = (const vec *)r->tables + ((t * r->nblock + b) * r->nnode + k) * r->nrad;
        for (int64_t i = 0; i < g->nmember[t]; i++) {
            const member *to = g->members[t] + i;
            const vec seen = content * mean_of(to, 0, slab, r->nrad, p->lower, p->upper, p->row);
            double *low = sums + (to->pixel * r->nnode + k) * r->ntrue + b * LANES;
            for (int64_t e = 0; e < (left < LANES ? left : LANES); e++) {
                low[e] += (1.0 - to->fraction) * seen[e];
                low[r->ntrue + e] += to->fraction * seen[e];
            }
        }
    }
    return 0;
}

/* sums (npixel, nnode, ntrue) += mean PSF over each data pixel x content of points, per sr.
 *
 * Returns 1 if there is no memory.
 */
int64_t skymix_points_to_pixels(const response *r, const sky *s, const directions *d, double *sums)
{
    const int64_t npixel = s->nlat * s->nlon;
    gathered g;
    view v;
    /* All pixels lie where the point does, as far as the response goes. */
    int64_t *node = malloc(npixel * sizeof *node);
    double *fraction = malloc(npixel * sizeof *fraction);
    uint8_t *shining = malloc(npixel);
    int failed = reserve(&g, &v, r, s) || !node || !fraction || !shining;
    sky seen = *s;
    seen.node = node;
    seen.fraction = fraction;
    if (!failed)
        memset(shining, 1, npixel);
    for (int64_t n = 0; n < d->npoint && !failed; n++) {
        for (int64_t i = 0; i < npixel; i++) {
            node[i] = d->node[n];
            fraction[i] = d->fraction[n];
        }
        for (int64_t b = 0; b < r->nblock && !failed; b++)
            failed = shine(&g, &v, r, &seen, d, shining, n, b, sums);
    }
    release(&g, &v);
    free(node);
    free(fraction);
    free(shining);
    return failed;
}
