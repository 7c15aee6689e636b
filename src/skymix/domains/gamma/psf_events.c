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
 * interface. psf_events.py fills the structures: eight bytes a member.
 */

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__) && defined(__gnu_linux__)
#define CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define CLONES
#endif
#define INLINE static inline __attribute__((always_inline))

enum {
    LANES = 8,   /* true energies of a block */
    STRIDE = 8,  /* radial nodes that share a choice of quadrature */
    SQUARES = 3, /* tables of means over squares of a whole, a half and a third of a side */
    RAW = 3,     /* the table as it is */
    SIDE = 3,    /* points on a side of a square whose mean is taken */
    FEW = 8,     /* maps that are done at a time */
    MOST = 32,   /* points on a side of a pixel, and levels of the rule, at most */
};

#define TURN 0.39269908169872414 /* 22.5 deg */
#define FOURFOLD 5e-4            /* largest fourfold or shape term, as a share of the mean ... */
#define FLOOR 5e-6               /* ... beside this share of the peak */
#define ENOUGH 1.2               /* largest square over the scale of the PSF there */
#define FARTHER 0.4              /* scale over distance, far from the centre */
#define NEAR 2e-3                /* haversine up to which the series of the arcsine is exact */

typedef double vec __attribute__((vector_size(64), aligned(8), may_alias));

typedef struct {
    int64_t nnode, nrad, nenergy, nblock, nbin;
    double rad_max;
    double side;          /* of the square, in rad */
    double shape;         /* largest relative difference of a pixel's squared sides from its */
    const double *farthest; /* (nblock) farthest pixels that are visited, rad */
    const double *scale;  /* (nnode, nblock) width of the PSF */
    const double *psf;    /* (nnode, nrad, nenergy) */
    double *tables;       /* (SQUARES + 1, nblock, nnode, nrad, LANES), output, zero on entry */
    uint8_t *least;       /* (nnode - 1, nblock, nbin) finest table that is due, output */
} smoothing;

typedef struct {
    int64_t nnode, nrad, nblock, nbin, ntrue, ny;
    double rad_max;
    const double *tables, *offsets; /* as above, (nnode,) */
    const double *scale, *reach;    /* (nnode - 1, nblock) width of the PSF, and farthest pixels */
    const uint8_t *least;
    const double *cumulative; /* (nnode, ntrue, ny) */
    const double *widths;     /* (ntrue) of the true energies in ln E */
} response;

typedef struct {
    int64_t nlat, nlon;
    const double *lon, *lat; /* pixel centres, equally spaced */
    const double *sine, *cosine; /* of the latitudes */
    const int64_t *node;     /* (nlat, nlon) lower offset node, and distance to the next */
    const double *fraction;
    double pixel, height, width; /* sides and mean size of a pixel */
    double side;                 /* of the square of table 0 */
    int64_t nlevel, nside;       /* rule of the finer quadratures */
    const double *nodes, *weights, *limits;
    const int64_t *sizes;
} sky;

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

/* A pixel within reach of an event, and the first of the points that stand for it. */
typedef struct {
    int64_t pixel, node, first, npoint;
    double fraction, distance;
} member;

/* Points: their place among the radial nodes, or the haversine of their distance, and weight; then
 * the node and the weights of this and the next. */
typedef struct {
    int64_t size, room;
    double *lower, *upper;
    int64_t *row;
} points;

/* The pixels by the table that they use. Those of the first have a single point, placed already. */
typedef struct {
    member *members[SQUARES + 1];
    int64_t nmember[SQUARES + 1];
    points single, several;
} gathered;

INLINE double larger(double a, double b)
{
    return a > b ? a : b;
}

INLINE double smaller(double a, double b)
{
    return a < b ? a : b;
}

/* Angle whose haversine is h, below 5 deg, by the series of the arcsine, exact to rounding. */
INLINE double small_angle(double h)
{
    double s = 35.0 / 576.0 + h * (63.0 / 1408.0 + h * (231.0 / 6656.0));
    s = 1.0 / 3.0 + h * (3.0 / 20.0 + h * (5.0 / 56.0 + h * s));
    return sqrt(h) * (2.0 + h * s);
}

INLINE double angle(double h)
{
    if (h > NEAR)
        return 2.0 * asin(h < 1.0 ? sqrt(h) : 1.0);
    return small_angle(h);
}

/* Sine below 0.3 rad by its series, exact to rounding. */
INLINE double small_sine(double x)
{
    const double y = x * x;
    double s = -1.0 / 39916800.0 + y * (1.0 / 6227020800.0);
    s = -1.0 / 5040.0 + y * (1.0 / 362880.0 + y * s);
    return x * (1.0 + y * (-1.0 / 6.0 + y * (1.0 / 120.0 + y * s)));
}

INLINE double sine(double x)
{
    return fabs(x) < 0.3 ? small_sine(x) : sin(x);
}

/* Weights of the mean over a square at each radial node: SIDE^2 places among the nodes. */
static void square_points(const smoothing *s, double side, double turn, double *place)
{
    static const double x[SIDE] = {-0.3872983346207417, 0.0, 0.3872983346207417};
    const double last = s->nrad - 1;
    for (int64_t r = 0; r < s->nrad; r++) {
        const double radius = s->rad_max * (r / last) * (r / last);
        for (int p = 0; p < SIDE * SIDE; p++) {
            const double a = side * x[p / SIDE], b = side * x[p % SIDE];
            const double along = radius + a * cos(turn) - b * sin(turn);
            const double across = a * sin(turn) + b * cos(turn);
            const double distance = sqrt(along * along + across * across);
            place[r * SIDE * SIDE + p] = last * sqrt(distance / s->rad_max);
        }
    }
}

INLINE vec mean_at(const vec *slab, int64_t nrad, const double *place)
{
    static const double w[SIDE] = {5.0 / 18.0, 8.0 / 18.0, 5.0 / 18.0};
    vec sum = {0};
    for (int p = 0; p < SIDE * SIDE; p++) {
        const int64_t r = (int64_t)place[p];
        if (r >= nrad - 1)
            continue;
        const double x = place[p] - r, weight = w[p / SIDE] * w[p % SIDE];
        sum += weight * (1.0 - x) * slab[r] + weight * x * slab[r + 1];
    }
    return sum;
}

INLINE int exceeds(vec term, vec mean, vec peak)
{
    for (int e = 0; e < LANES; e++)
        if (fabs(term[e]) > FOURFOLD * mean[e] + FLOOR * peak[e])
            return 1;
    return 0;
}

/* Means over squares of a block at one offset node: tables lie `each` apart, the last is given. */
CLONES static void smooth_slab(const smoothing *s, const double *place, vec *first, int64_t each,
                               int64_t filled, double scale, uint8_t *least)
{
    const int64_t size = s->nrad * SIDE * SIDE;
    const vec *raw = first + RAW * each;
    for (int64_t t = 0; t < SQUARES; t++)
        for (int64_t r = 0; r < filled; r++)
            first[t * each + r] = mean_at(raw, s->nrad, place + t * size + r * SIDE * SIDE);
    for (int64_t bin = 0; bin < s->nbin; bin++) {
        const int64_t r = bin * STRIDE < filled ? bin * STRIDE : filled - 1;
        const double at = r / (s->nrad - 1.0), radius = s->rad_max * at * at;
        const double smooth = larger(scale, FARTHER * (radius - s->side));
        uint8_t due = 0;
        for (; due < SQUARES; due++) {
            if (s->side > ENOUGH * smooth * (due + 1))
                continue;
            const vec *mean = first + due * each + r;
            const double *straight = place + (SQUARES + due) * size + r * SIDE * SIDE;
            /* What a pixel that is no square adds, to second order or, with points, to fourth. */
            const vec shape = 2.0 * s->shape * (*mean - raw[r]);
            const vec fourfold = mean_at(raw, s->nrad, straight) - *mean;
            const double more = due ? 1.0 + 16.0 * s->shape : 1.0;
            if (!exceeds(more * fourfold, *mean, raw[0])
                && (due || !exceeds(shape, *mean, raw[0])))
                break;
        }
        least[bin] = due;
    }
}

/* Radial nodes out to the first at or beyond a radius. */
static int64_t nodes_within(const smoothing *s, double radius)
{
    const double place = sqrt(radius / s->rad_max) * (s->nrad - 1);
    return place < s->nrad - 2 ? (int64_t)place + 2 : s->nrad;
}

/* Lay the PSF out by blocks of energies, beside its means over squares; say where these will do. */
int64_t skymix_smooth_psf(const smoothing *s)
{
    const int64_t size = s->nrad * LANES, each = s->nblock * s->nnode * s->nrad;
    const int64_t points = s->nrad * SIDE * SIDE;
    double *place = malloc(2 * SQUARES * points * sizeof *place);
    uint8_t *seen = malloc(s->nnode * s->nbin);
    if (!place || !seen) {
        free(place);
        free(seen);
        return 1;
    }
    for (int t = 0; t < SQUARES; t++) {
        square_points(s, s->side / (t + 1), TURN, place + t * points);
        square_points(s, s->side / (t + 1), 0.0, place + (SQUARES + t) * points);
    }
    for (int64_t b = 0; b < s->nblock; b++) {
        /* A pixel's points lie within its diagonal, as do those of the squares in its place. */
        const int64_t seen_to = nodes_within(s, s->farthest[b] + 1.5 * s->side);
        const int64_t filled = nodes_within(s, s->farthest[b] + s->side);
        const int64_t left = s->nenergy - b * LANES, count = left < LANES ? left : LANES;
        for (int64_t k = 0; k < s->nnode; k++) {
            double *first = s->tables + (b * s->nnode + k) * size;
            double *raw = first + RAW * each * LANES;
            for (int64_t r = 0; r < seen_to; r++)
                memcpy(raw + r * LANES, s->psf + (k * s->nrad + r) * s->nenergy + b * LANES,
                       count * sizeof *raw);
            smooth_slab(s, place, (vec *)first, each, filled, s->scale[k * s->nblock + b],
                        seen + k * s->nbin);
        }
        /* The worse of two nodes, and of a bin and the next. */
        for (int64_t k = 0; k + 1 < s->nnode; k++)
            for (int64_t i = 0; i < s->nbin; i++) {
                uint8_t due = 0;
                for (int64_t m = k; m < k + 2; m++)
                    for (int64_t j = i; j < i + 2 && j < s->nbin; j++)
                        due = seen[m * s->nbin + j] > due ? seen[m * s->nbin + j] : due;
                s->least[(k * s->nblock + b) * s->nbin + i] = due;
            }
    }
    free(place);
    free(seen);
    return 0;
}

static int make_room(points *p, int64_t more)
{
    if (p->size + more <= p->room)
        return 0;
    p->room = 2 * (p->size + more);
    double *lower = realloc(p->lower, p->room * sizeof *lower);
    p->lower = lower ? lower : p->lower;
    double *upper = realloc(p->upper, p->room * sizeof *upper);
    p->upper = upper ? upper : p->upper;
    int64_t *row = realloc(p->row, p->room * sizeof *row);
    p->row = row ? row : p->row;
    return !lower || !upper || !row;
}

static void clear(points *p)
{
    free(p->lower);
    free(p->upper);
    free(p->row);
}

/* What an event needs of the response: blocks, radius, and by offset node the quadratures. */
typedef struct {
    int64_t start, stop, first, last; /* true energies, and blocks of them */
    double radius, most; /* and its haversine */
    double *farthest; /* (nnode - 1) reach of the PSF, -1 where the event is too far */
    double *narrow;   /* (nnode - 1) width of the PSF */
    uint8_t *least;   /* (nnode - 1, nbin) */
    double *share;    /* (nnode, LANES) */
    double *distance, *place; /* (nlon) of the pixels of a row */
} view;

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

/* Points of the pixels of a row as seen from an event, at one level of the rule. */
typedef struct {
    int64_t row, size;
    double lon_step;
    double rise[MOST], cosines[MOST]; /* of each of its latitudes, as haversines need them */
} stencil;

INLINE void set_stencil(stencil *t, const sky *s, int64_t level, int64_t i, double dlat,
                        double event_cosine)
{
    double lat_step = s->height;
    t->row = i;
    t->size = s->sizes[level];
    t->lon_step = s->pixel;
    if (level < SQUARES) {
        const double part = s->side / t->size, wide = part / s->cosine[i];
        const double least = t->size * t->size - 1;
        t->lon_step = sqrt(larger(0.0, (s->pixel * s->pixel - wide * wide) / least));
        lat_step = sqrt(larger(0.0, (s->height * s->height - part * part) / least));
    }
    for (int64_t p = 0; p < t->size; p++) {
        const double shift = lat_step * s->nodes[level * s->nside + p];
        const double side = sine(0.5 * (dlat + shift));
        /* Cosine of the point's latitude, from that of the pixel's centre. */
        const double turn = sine(0.5 * shift), turned = sqrt(1.0 - turn * turn);
        t->rise[p] = side * side;
        t->cosines[p] = event_cosine
                        * (s->cosine[i] - 2.0 * turn * (s->cosine[i] * turn + s->sine[i] * turned));
    }
}

/* Add the points of a pixel at a difference in longitude. */
INLINE int add_points(points *to, const stencil *t, const sky *s, int64_t level, double dlon)
{
    const double *nodes = s->nodes + level * s->nside, *weights = s->weights + level * s->nside;
    const int64_t size = t->size;
    double square[MOST];
    if (make_room(to, size * size))
        return 1;
    for (int64_t q = 0; q < size; q++) {
        const double side = sine(0.5 * (dlon + t->lon_step * nodes[q]));
        square[q] = side * side;
    }
    double *restrict lower = to->lower + to->size, *restrict upper = to->upper + to->size;
    for (int64_t p = 0; p < size; p++)
        for (int64_t q = 0; q < size; q++) {
            lower[p * size + q] = t->rise[p] + t->cosines[p] * square[q];
            upper[p * size + q] = weights[p] * weights[q];
        }
    to->size += size * size;
    return 0;
}

INLINE int64_t level_of(const view *v, const sky *s, int64_t least, int64_t node, double distance)
{
    const double ratio = s->width / larger(v->narrow[node], FARTHER * (distance - s->width));
    int64_t level = least;
    while (level >= RAW && level < s->nlevel - 1 && ratio > s->limits[level])
        level++;
    return level;
}

/* Columns of the sky within a difference of longitude, half open. */
static void columns(const sky *s, double lon, double far, int64_t *first, int64_t *last)
{
    *first = 0;
    *last = s->nlon;
    if (s->nlon * s->pixel + far >= 6.283185307179586)
        return;
    const double low = (lon - far - s->lon[0]) / s->pixel - 1.0;
    const double high = (lon + far - s->lon[0]) / s->pixel + 2.0;
    *first = low > 0.0 ? (low < s->nlon ? (int64_t)low : s->nlon) : 0;
    *last = high < s->nlon ? (high > 0.0 ? (int64_t)high : 0) : s->nlon;
}

/* Distances of the pixels of a row, and their places among the radial nodes. */
INLINE void measure(const view *v, const response *r, const sky *s, double lon, double rise,
                    double cosines, int64_t first, int64_t last)
{
    const double scale = (r->nrad - 1) / sqrt(r->rad_max), end = r->nrad - 1;
    const double west = s->lon[first] - lon, east = s->lon[last - 1] - lon;
    const double *restrict at = s->lon;
    double *restrict distance = v->distance, *restrict place = v->place;
    if (larger(fabs(west), fabs(east)) < 0.6 && v->most < 0.5 * NEAR)
        for (int64_t j = first; j < last; j++) {
            const double side = small_sine(0.5 * (at[j] - lon));
            distance[j] = small_angle(rise + cosines * side * side);
            place[j] = smaller(sqrt(distance[j]) * scale, end);
        }
    else
        for (int64_t j = first; j < last; j++) {
            const double side = sine(0.5 * (at[j] - lon));
            distance[j] = angle(rise + cosines * side * side);
            place[j] = smaller(sqrt(distance[j]) * scale, end);
        }
}

/* Haversines to places among the radial nodes. */
INLINE void place_points(const points *p, const response *r)
{
    const double scale = (r->nrad - 1) / sqrt(r->rad_max), last = r->nrad - 1;
    double *restrict lower = p->lower, most = 0.0;
    for (int64_t i = 0; i < p->size; i++)
        most = larger(most, lower[i]);
    if (most < NEAR)
        for (int64_t i = 0; i < p->size; i++)
            lower[i] = smaller(sqrt(small_angle(lower[i])) * scale, last);
    else
        for (int64_t i = 0; i < p->size; i++)
            lower[i] = smaller(sqrt(angle(lower[i])) * scale, last);
}

/* Places to nodes and weights; nothing lies beyond the last node. */
INLINE void weigh_points(const points *p, const response *r)
{
    double *restrict lower = p->lower, *restrict upper = p->upper;
    int64_t *restrict row = p->row;
    const double last = r->nrad - 1;
    for (int64_t i = 0; i < p->size; i++) {
        const double place = lower[i] < last ? lower[i] : 0.0;
        const double weight = lower[i] < last ? upper[i] : 0.0;
        row[i] = (int64_t)place;
        upper[i] = weight * (place - row[i]);
        lower[i] = weight - upper[i];
    }
}

/* The pixels within reach of an event, with their points. */
INLINE int gather(gathered *g, view *v, const response *r, const sky *s, const uint8_t *shining,
                  double lon, double lat)
{
    const double event_cosine = cos(lat);
    const double edge = sin(0.5 * smaller(v->radius, 3.141592653589793));
    v->most = edge * edge;
    g->single.size = g->several.size = 0;
    memset(g->nmember, 0, sizeof g->nmember);
    stencil stencils[MOST];
    for (int64_t level = 0; level < s->nlevel; level++)
        stencils[level].row = -1;
    for (int64_t i = 0; i < s->nlat; i++) {
        const double dlat = s->lat[i] - lat;
        if (fabs(dlat) > v->radius)
            continue;
        const double cosines = s->cosine[i] * event_cosine, up = sine(0.5 * dlat), rise = up * up;
        /* Pixels farther than this in longitude are out of reach. */
        const double across = larger(0.0, v->most - rise) / larger(cosines, 1e-9);
        int64_t first, last;
        columns(s, lon, angle(across), &first, &last);
        if (first >= last)
            continue;
        measure(v, r, s, lon, rise, cosines, first, last);
        if (make_room(&g->single, last - first))
            return 1;
        for (int64_t j = first; j < last; j++) {
            const int64_t pixel = i * s->nlon + j, k = s->node[pixel];
            const double distance = v->distance[j];
            if (distance > v->farthest[k] || !shining[pixel])
                continue;
            const int64_t least = v->least[k * r->nbin + (int64_t)v->place[j] / STRIDE];
            const int64_t table = least < RAW ? least : RAW;
            points *to = table ? &g->several : &g->single;
            const int64_t start = to->size;
            if (table == 0) {
                to->lower[to->size] = v->place[j];
                to->upper[to->size++] = 1.0;
            } else {
                const int64_t level = level_of(v, s, least, k, distance);
                if (stencils[level].row != i)
                    set_stencil(stencils + level, s, level, i, dlat, event_cosine);
                if (add_points(to, stencils + level, s, level, s->lon[j] - lon))
                    return 1;
            }
            g->members[table][g->nmember[table]++] = (member){
                pixel, k, start, to->size - start, s->fraction[pixel], distance};
        }
    }
    place_points(&g->several, r);
    weigh_points(&g->several, r);
    weigh_points(&g->single, r);
    return 0;
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

static void release(gathered *g, view *v)
{
    for (int t = 0; t <= SQUARES; t++)
        free(g->members[t]);
    clear(&g->single);
    clear(&g->several);
    free(v->farthest);
    free(v->least);
    free(v->share);
    free(v->distance);
}

static int reserve(gathered *g, view *v, const response *r, const sky *s)
{
    int failed = 0;
    memset(g, 0, sizeof *g);
    memset(v, 0, sizeof *v);
    for (int t = 0; t <= SQUARES; t++) {
        g->members[t] = malloc(s->nlat * s->nlon * sizeof **g->members);
        failed |= !g->members[t];
    }
    v->farthest = malloc(2 * r->nnode * sizeof *v->farthest);
    v->least = malloc(r->nnode * r->nbin);
    v->share = malloc(r->nnode * LANES * sizeof *v->share);
    v->distance = malloc(2 * s->nlon * sizeof *v->distance);
    failed |= !v->farthest || !v->least || !v->share || !v->distance;
    if (!failed) {
        v->narrow = v->farthest + r->nnode;
        v->place = v->distance + s->nlon;
    }
    return failed;
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
