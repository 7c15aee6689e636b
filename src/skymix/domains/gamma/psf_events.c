/* The PSF from true directions to events at their own coordinates, and from points to data pixels.
 *
 * For each event the true pixels within reach are gathered once: their distances, as nodes of the
 * radial tables and weights between them. Then true energies are visited in blocks of eight, which
 * are one vector: tables and maps are laid out by block, so that the inner loops have neither
 * remainder nor gather.
 *
 * The mean of the PSF over a pixel is a look-up in tables of such means: far away the one over all
 * angles, nearer with the harmonics of a square and what a pixel differs from it. Where the PSF is
 * too narrow for these it is a quadrature.
 *
 * A point on the true sky is seen by data pixels as an event sees true pixels.
 *
 * Angles are in rad. Plain C with GCC's vector extensions (GCC or Clang); no part of Python's C
 * interface. psf_events.py fills the structures, eight bytes a member. Every function is in one
 * translation unit, so that each set of instructions has its own copy of all of them.
 */

#include "psf_common.h"
#include "psf_means.h"
#include "psf_points.h"
#include "psf_pixels.h"
#include "psf_sums.h"

typedef struct {
    int64_t nevent;
    const int64_t *order;             /* (nevent) in which they are done */
    const double *energy;             /* TeV */
    const double *lon, *lat, *offset; /* offset: angle to the pointing */
    const int64_t *windows;           /* (nmap, nevent, 2) half-open range of true energies */
    const int64_t *core;              /* (nevent, 2) range whose PSF sets the quadrature */
    const double *place; /* (nevent) in steps of the cumulative's nodes, from the first */
} events;

/* Haversine from which on pixels are single values. */
INLINE double first_single(const response *r, const int64_t *least)
{
    int64_t bin = r->nbin;
    while (bin > 0 && least[bin - 1] == SINGLE)
        bin--;
    if (bin == r->nbin)
        return 2.0;
    const double place = bin * STRIDE / (r->nrad - 1.0);
    const double edge = sin(0.5 * smaller(r->rad_max * place * place, M_PI));
    return edge * edge;
}

/* The lowest energy of a block that an event needs. */
INLINE int64_t lowest(const view *v, int64_t b)
{
    return v->start > b * LANES ? v->start : b * LANES;
}

/* Energies that an event needs at any map, and their blocks; with these, what all nodes need. */
INLINE void open_window(view *v, const response *r, const events *ev, int64_t nmap, int64_t n)
{
    const int64_t start = v->start, first = v->first, last = v->last;
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
    /* Neighbours have the same. */
    if (v->start == start && v->first == first && v->last == last)
        return;
    for (int64_t k = 0; k + 1 < r->nnode; k++) {
        v->reach[k] = 0.0;
        for (int64_t b = v->first; b < v->last; b++)
            v->reach[k] = larger(v->reach[k], r->reach[k * r->ntrue + lowest(v, b)]);
    }
    if (v->first == first && v->last == last)
        return;
    for (int64_t k = 0; k + 1 < r->nnode; k++) {
        int64_t *restrict least = v->least + k * r->nbin;
        for (int64_t i = 0; i < r->nbin; i++)
            least[i] = 0;
        for (int64_t b = v->first; b < v->last; b++) {
            const uint8_t *restrict due = r->least + (k * r->nblock + b) * r->nbin;
            for (int64_t i = 0; i < r->nbin; i++)
                least[i] = due[i] > least[i] ? due[i] : least[i];
        }
        v->single_from[k] = first_single(r, least);
    }
}

INLINE void look(view *v, const response *r, const events *ev, int64_t nmap, int64_t n)
{
    const int64_t *core = ev->core + 2 * n;
    const double place = ev->place[n];
    double *restrict most = v->most;
    open_window(v, r, ev, nmap, n);
    /* Higher true energies are at lower places; beyond the table there is nothing. */
    v->begin_energy = v->start;
    v->end_energy = v->stop;
    while (v->begin_energy < v->end_energy && place - r->edges[v->begin_energy + 1] >= r->ny - 1)
        v->begin_energy++;
    while (v->begin_energy < v->end_energy && place - r->edges[v->end_energy - 1] <= 0.0)
        v->end_energy--;
    v->radius = -1.0;
    v->low = r->nnode;
    v->high = 0;
    for (int64_t k = 0; k + 1 < r->nnode; k++) {
        const double reach = v->reach[k];
        most[k] = v->single_to[k] = -1.0;
        /* Pixels nearer to the pointing than the first node are at this. */
        if ((k && r->offsets[k] - reach > ev->offset[n])
            || ev->offset[n] > r->offsets[k + 1] + reach)
            continue;
        for (int64_t b = v->first; b < v->last; b++)
            most[k] = larger(most[k], r->most[k * r->ntrue + lowest(v, b)]);
        v->single_to[k] = smaller(most[k], v->end);
        v->radius = larger(v->radius, reach);
        v->low = k < v->low ? k : v->low;
        v->high = k + 2;
        v->narrow[k] = INFINITY;
        for (int64_t b = core[0] / LANES; b * LANES < core[1]; b++)
            v->narrow[k] = smaller(v->narrow[k], r->scale[k * r->nblock + b]);
    }
}

/* Place among the nodes of a table, as its lower node and the share of the next. */
INLINE double node_below(double place, int64_t size, int64_t *below)
{
    const double at = place < 0.0 ? 0.0 : smaller(place, size - 1.0);
    *below = (int64_t)at < size - 2 ? (int64_t)at : size - 2;
    return at - *below;
}

/* Density of the event's energy from each true energy of a block at the offset nodes, TeV-1. */
INLINE void disperse(view *v, const response *r, double place, double energy, int64_t b)
{
    const int64_t begin = v->begin_energy - b * LANES, end = v->end_energy - b * LANES;
    const int64_t from = begin > 0 ? begin : 0, to = end < LANES ? end : LANES;
    for (int64_t group = v->low / LANES; group * LANES < v->high; group++) {
        const int64_t first = group * LANES, left = v->high - first;
        const int64_t low = v->low > first ? v->low - first : 0, high = left < LANES ? left : LANES;
        vec by_energy[LANES] = {0};
        for (int64_t l = from; l < to; l++) {
            const int64_t e = b * LANES + l;
            const vec *table = (const vec *)r->cumulative + (group * r->ntrue + e) * r->ny;
            int64_t upper, lower;
            const double after_upper = node_below(place - r->edges[e], r->ny, &upper);
            const double after_lower = node_below(place - r->edges[e + 1], r->ny, &lower);
            const vec *above = table + upper, *below = table + lower;
            const vec p = (above[0] + after_upper * (above[1] - above[0]))
                          - (below[0] + after_lower * (below[1] - below[0]));
            by_energy[l] = (vec)((ivec)p & (p > 0.0)) * (1.0 / (r->widths[e] * energy));
        }
        for (int64_t k = low; k < high; k++)
            for (int64_t l = 0; l < LANES; l++)
                v->share[2 * (first + k)][l] = by_energy[l][k];
    }
    for (int64_t k = v->low; k + 1 < v->high; k++)
        v->share[2 * k + 1] = v->share[2 * k + 2] - v->share[2 * k];
}

/* Put the sums of a block at one map to an event's energies within its window. */
INLINE void collect(double *restrict to, vec total, const int64_t *window, int64_t b)
{
    for (int64_t l = 0; l < LANES; l++)
        if (b * LANES + l >= window[0] && b * LANES + l < window[1])
            to[b * LANES + l] = total[l];
}

/* Sums over the true sky at one event, for all maps. */
CLONES static int see(gathered *g, view *v, const response *r, const sky *s, const maps *m,
                      const events *ev, int64_t n, double *out)
{
    for (int64_t c = 0; c < m->nmap; c++)
        memset(out + (c * ev->nevent + n) * r->ntrue, 0, r->ntrue * sizeof *out);
    look(v, r, ev, m->nmap, n);
    if (v->first >= v->last || v->radius < 0.0)
        return 0;
    if (gather(g, v, r, s, ev->lon[n], ev->lat[n]))
        return 1;
    vec totals[FEW];
    for (int64_t b = v->first; b < v->last; b++) {
        disperse(v, r, ev->place[n], ev->energy[n], b);
        for (int64_t at = 0; at < m->nmap; at += FEW) {
            const int64_t count = m->nmap - at < FEW ? m->nmap - at : FEW;
            if (count == 1)
                sum_block(totals, g, v, r, m, s->nlat * s->nlon, b, lowest(v, b), at, 1);
            else if (count == 2)
                sum_block(totals, g, v, r, m, s->nlat * s->nlon, b, lowest(v, b), at, 2);
            else
                sum_block(totals, g, v, r, m, s->nlat * s->nlon, b, lowest(v, b), at, count);
            for (int64_t c = at; c < at + count; c++)
                collect(out + (c * ev->nevent + n) * r->ntrue, totals[c - at],
                        ev->windows + (c * ev->nevent + n) * 2, b);
        }
    }
    return 0;
}

/* Nodes of the pixels that have any content; of the others the last, which none sees. */
static void light(const sky *s, const response *r, const uint8_t *shining, int32_t *lit)
{
    for (int64_t p = 0; p < s->nlat * s->nlon; p++)
        lit[p] = shining[p] ? s->node[p] : r->nnode - 1;
}

/* out (nmap, nevent, ntrue): dispersion x PSF x maps, summed over the true sky.
 *
 * Returns 1 if there is no memory.
 */
int64_t skymix_maps_to_events(const response *r, const sky *s, const maps *m, const events *ev,
                              double *out)
{
    const int64_t npixel = s->nlat * s->nlon;
    gathered g;
    view v;
    int32_t *lit = malloc(npixel * sizeof *lit);
    int failed = reserve(&g, &v, r, s, m->nmap) || !lit;
    sky seen = *s;
    seen.lit = lit;
    if (!failed)
        light(s, r, m->shining, lit);
    for (int64_t n = 0; n < ev->nevent && !failed; n++)
        failed = see(&g, &v, r, &seen, m, ev, ev->order[n], out);
    release(&g, &v);
    free(lit);
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

/* Add a pixel's mean PSF of a block of energies at both offset nodes. */
INLINE void add_at_nodes(double *low, vec seen, double fraction, int64_t ntrue, int64_t count)
{
    for (int64_t e = 0; e < count; e++) {
        low[e] += (1.0 - fraction) * seen[e];
        low[ntrue + e] += fraction * seen[e];
    }
}

/* What one point adds to the data pixels in a block of energies. */
CLONES static int shine(gathered *g, view *v, const response *r, const sky *s, const directions *d,
                        int64_t n, int64_t b, double *sums)
{
    const int64_t k = d->node[n], at = k * r->nblock + b, first = k * r->ntrue + b * LANES;
    const int64_t left = r->ntrue - b * LANES;
    const int64_t count = left < LANES ? left : LANES, each = r->nnode * r->ntrue;
    const vec content = *(const vec *)(d->content + (n * r->nblock + b) * LANES);
    const slabs t = tables_of(r, b);
    double *to = sums + k * r->ntrue + b * LANES;
    int64_t *least = v->least + k * r->nbin;
    for (int64_t m = 0; m + 1 < r->nnode; m++)
        v->most[m] = v->single_to[m] = -1.0;
    v->radius = r->reach[first];
    v->most[k] = r->most[first];
    v->single_to[k] = smaller(v->most[k], v->end);
    v->narrow[k] = r->scale[at];
    for (int64_t i = 0; i < r->nbin; i++)
        least[i] = r->least[at * r->nbin + i];
    v->single_from[k] = first_single(r, least);
    if (gather(g, v, r, s, d->lon[n], d->lat[n]))
        return 1;
    for (int64_t i = 0; i < g->far.size; i++) {
        const single p = g->singles[i];
        add_at_nodes(to + p.pixel * each, content * mean_of_single(t, p), p.fraction, r->ntrue,
                     count);
    }
    for (int64_t due = ONE; due <= ALL; due++)
        for (int64_t i = 0; i < g->nharmonic[due - ONE]; i++) {
            const harmonic *m = g->harmonics[due - ONE] + i;
            add_at_nodes(to + m->mean.pixel * each, content * mean_of_harmonic(t, m, due),
                         m->mean.fraction, r->ntrue, count);
        }
    for (int64_t i = 0; i < g->nmember; i++) {
        const member *m = g->members + i;
        const vec mean = mean_of_several(t, m, &g->several);
        add_at_nodes(to + m->pixel * each, content * mean, m->fraction, r->ntrue, count);
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
    int32_t *lit = malloc(npixel * sizeof *lit);
    double *fraction = malloc(npixel * sizeof *fraction);
    int failed = reserve(&g, &v, r, s, 1) || !lit || !fraction;
    sky around = *s;
    around.lit = lit;
    around.fraction = fraction;
    for (int64_t n = 0; n < d->npoint && !failed; n++) {
        for (int64_t i = 0; i < npixel; i++) {
            lit[i] = d->node[n];
            fraction[i] = d->fraction[n];
        }
        for (int64_t b = 0; b < r->nblock && !failed; b++)
            failed = shine(&g, &v, r, &around, d, n, b, sums);
    }
    release(&g, &v);
    free(lit);
    free(fraction);
    return failed;
}
