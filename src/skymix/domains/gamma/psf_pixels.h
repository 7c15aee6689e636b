/* The pixels of a sky that a direction sees. */

/* A pixel that is a value of the table of means: at a radial node, from the first of its offset
 * node on, and the next with some weight. Pixels are counted in vectors of content. */
typedef struct {
    double next, fraction;
    int64_t row, pixel;
} single;

/* A pixel that has harmonics, with the factors of these. */
typedef struct {
    single mean;
    int64_t node;
    double haversine, factors[HARMONICS];
} harmonic;

/* A pixel that has several points, from the first. */
typedef struct {
    int64_t pixel, node, first, npoint;
    double fraction, haversine;
} member;

/* Pixels by their lower offset node, and how many. */
typedef struct {
    int64_t *size;     /* (nnode) */
    double *haversine; /* (nnode, room) */
    int64_t *pixel;
} listed;

typedef struct {
    int64_t room, nmap;
    listed far, near;               /* certain singles, and pixels that may be something else */
    single *singles;                /* (nnode, room): the far ones, then those of the near */
    harmonic *harmonics[HARMONICS]; /* by the number of their terms, from 1 */
    member *members;
    int64_t nharmonic[HARMONICS], nmember;
    points several;
    double *place; /* (room) among the radial nodes */
    int64_t *due;  /* room for a list of singles */
} gathered;

/* What an event needs of the response: blocks, radius, and by offset node the quadratures. */
typedef struct {
    int64_t start, stop, first, last; /* true energies, and blocks of them */
    int64_t low, high;                /* offset nodes */
    double radius;                    /* out to which pixels are seen, rad */
    double *reach;  /* (nnode - 1) of the PSF in these blocks */
    double *most;   /* (nnode) haversine of the same, -1 where nothing is seen */
    double *single_from; /* (nnode - 1) haversine from which on pixels are certain singles */
    double end;     /* haversine of the last radial node, from which on there is nothing */
    double *narrow; /* (nnode - 1) width of the PSF */
    double *share;  /* (nnode, LANES), padded to a whole group of nodes */
    int64_t *least; /* (nnode - 1, nbin) */
    /* Rows that are seen, with the parts of their haversines and the columns within the radius. */
    int64_t south, north;
    double *rise, *cosines;   /* (nlat) */
    double *up;               /* (nlat) sine of half the way up to a row */
    int64_t *west, *east;     /* (nlat) */
    double *square;           /* (nlon) */
} view;

/* Rows and columns within the radius; pixels at its edge may be among them or not. */
INLINE void find_rows(view *v, const sky *s, double most, double lon, double lat,
                      double event_cosine)
{
    const double middle = (lat - s->lat[0]) / s->height;
    const double rows = v->radius / s->height;
    const double south = middle - rows, north = middle + rows + 1.0;
    v->south = south > 0.0 ? smaller(south, s->nlat) : 0;
    v->north = north < s->nlat ? larger(north, 0.0) : s->nlat;
    if (v->south >= v->north)
        return;
    const double *restrict cosine = s->cosine;
    double *restrict rise = v->rise, *restrict cosines = v->cosines, *restrict up = v->up;
    int64_t *restrict first = v->west, *restrict last = v->east;
    const double least = event_cosine * smaller(cosine[v->south], cosine[v->north - 1]);
    const double at = (lon - s->lon[0]) / s->pixel + 1.0, per = 1.0 / s->pixel;
    const int small = v->radius < 0.5 && most < NEAR * least;
    if (small && s->nlon * s->pixel < 5.0)
        for (int64_t i = v->south; i < v->north; i++) {
            up[i] = small_sine(0.5 * (s->lat[i] - lat));
            rise[i] = up[i] * up[i];
            cosines[i] = cosine[i] * event_cosine;
            /* Pixels farther than this in longitude are out of reach. */
            const double far = small_angle(larger(0.0, most - rise[i]) / cosines[i]) * per + 1e-6;
            first[i] = (int64_t)smaller(larger(at - far, 0.0), s->nlon);
            last[i] = (int64_t)smaller(larger(at + far, 0.0), s->nlon);
        }
    else
        for (int64_t i = v->south; i < v->north; i++) {
            up[i] = sine(0.5 * (s->lat[i] - lat));
            rise[i] = up[i] * up[i];
            cosines[i] = cosine[i] * event_cosine;
            const double across = larger(0.0, most - rise[i]) / larger(cosines[i], 1e-9);
            const double far = angle(across) * per + 1e-6;
            const int around = (s->nlon + far) * s->pixel >= 2.0 * M_PI;
            first[i] = around ? 0 : (int64_t)smaller(larger(at - far, 0.0), s->nlon);
            last[i] = around ? s->nlon : (int64_t)smaller(larger(at + far, 0.0), s->nlon);
        }
    int64_t west = s->nlon, east = 0;
    for (int64_t i = v->south; i < v->north; i++) {
        west = first[i] < west ? first[i] : west;
        east = last[i] > east ? last[i] : east;
    }
    double *restrict square = v->square;
    const double from = s->lon[0] - lon, width = s->pixel;
    if (fabs(from + west * width) < 0.6 && fabs(from + east * width) < 0.6)
        for (int64_t j = west; j < east; j++) {
            const double side = small_sine(0.5 * (from + j * width));
            square[j] = side * side;
        }
    else
        for (int64_t j = west; j < east; j++) {
            const double side = sine(0.5 * (from + j * width));
            square[j] = side * side;
        }
}

/* List the pixels of a part of a row, those that may be no singles apart if there are any.
 *
 * Without a branch, which nobody could foresee: what is not to stay is written over. */
INLINE void list_part(gathered *g, const view *v, int64_t k, double rise, double cosines,
                      int64_t row, int64_t from, int64_t to)
{
    const double most = v->most[k], single = v->single_from[k], last = smaller(most, v->end);
    const double *restrict square = v->square;
    double *restrict far = g->far.haversine + k * g->room;
    int64_t *restrict far_pixel = g->far.pixel + k * g->room, n = g->far.size[k];
    if (rise >= single) {
        for (int64_t j = from; j < to; j++) {
            const double h = rise + cosines * square[j];
            far[n] = h;
            far_pixel[n] = row + j;
            n += h <= last;
        }
        g->far.size[k] = n;
        return;
    }
    double *restrict near = g->near.haversine + k * g->room;
    int64_t *restrict near_pixel = g->near.pixel + k * g->room, m = g->near.size[k];
    for (int64_t j = from; j < to; j++) {
        const double h = rise + cosines * square[j];
        far[n] = near[m] = h;
        far_pixel[n] = near_pixel[m] = row + j;
        n += (h >= single) & (h <= last);
        m += (h < single) & (h <= most);
    }
    g->far.size[k] = n;
    g->near.size[k] = m;
}

/* List the pixels within reach, by offset node. */
INLINE void list_pixels(gathered *g, const view *v, const sky *s)
{
    for (int64_t i = v->south; i < v->north; i++) {
        const int64_t row = i * s->nlon, last = v->east[i];
        for (int64_t j = v->west[i], next; j < last; j = next) {
            const int64_t k = s->node[row + j];
            next = s->end[row + j] < last ? s->end[row + j] : last;
            if (v->most[k] >= 0.0)
                list_part(g, v, k, v->rise[i], v->cosines[i], row, j, next);
        }
    }
}

INLINE single single_at(const gathered *g, const response *r, const sky *s, int64_t k, double place,
                        int64_t pixel)
{
    const int64_t below = (int64_t)place;
    return (single){place - below, s->fraction[pixel], k * r->nrad + below, pixel * g->nmap};
}

/* The single values at an offset node. */
INLINE void add_singles(gathered *g, const view *v, const response *r, const sky *s, int64_t k)
{
    const int64_t first = k * g->room, *restrict pixel = g->far.pixel + first;
    single *restrict to = g->singles + first;
    find_places(r, g->far.haversine + first, v->most[k], g->far.size[k], g->place);
    for (int64_t n = 0; n < g->far.size[k]; n++)
        to[n] = single_at(g, r, s, k, g->place[n], pixel[n]);
}

INLINE void add_harmonic(gathered *g, const view *v, const sky *s, single mean, int64_t terms,
                         int64_t k, int64_t i, double h)
{
    /* Of the direction to the event, seen from the pixel: its share of north. */
    const double rise = v->rise[i], tangent = s->sine[i] / s->cosine[i];
    const double north = 2.0 * (tangent * (h - rise) - v->up[i] * sqrt(1.0 - rise));
    const double squared = 2.0 * h * (1.0 - h);
    const double twofold = squared > 0.0 ? larger(-1.0, 1.0 - north * north / squared) : 1.0;
    const double fourfold = 2.0 * twofold * twofold - 1.0;
    g->harmonics[terms - 1][g->nharmonic[terms - 1]++] = (harmonic){
        mean, k, h,
        {fourfold, s->shape[i] * twofold, 2.0 * fourfold * fourfold - 1.0, s->size[i]}};
}

INLINE int64_t level_of(const view *v, const sky *s, int64_t node, double distance)
{
    const double ratio = s->width / larger(v->narrow[node], FARTHER * (distance - s->width));
    int64_t level = 0;
    while (level < s->nlevel - 1 && ratio > s->limits[level])
        level++;
    return level;
}

/* Add a pixel with several points. */
INLINE int add_several(gathered *g, const view *v, const sky *s, stencil *stencils, int64_t k,
                       int64_t pixel, int64_t i, double h, double lon, double lat,
                       double event_cosine)
{
    const int64_t start = g->several.size, level = level_of(v, s, k, angle(h));
    if (stencils[level].row != i)
        set_stencil(stencils + level, s, level, i, s->lat[i] - lat, event_cosine);
    if (add_points(&g->several, stencils + level, s, level, s->lon[pixel - i * s->nlon] - lon))
        return 1;
    g->members[g->nmember++] = (member){
        pixel * g->nmap, k, start, g->several.size - start, s->fraction[pixel], h};
    return 0;
}

/* The pixels within reach of an event. */
INLINE int gather(gathered *g, view *v, const response *r, const sky *s, double lon, double lat)
{
    const double event_cosine = cos(lat);
    double most = -1.0;
    for (int64_t k = 0; k + 1 < r->nnode; k++)
        most = larger(most, v->most[k]);
    g->several.size = g->nmember = 0;
    memset(g->nharmonic, 0, sizeof g->nharmonic);
    memset(g->far.size, 0, 2 * r->nnode * sizeof *g->far.size);
    find_rows(v, s, most, lon, lat, event_cosine);
    list_pixels(g, v, s);
    stencil stencils[MOST];
    for (int64_t level = 0; level < s->nlevel; level++)
        stencils[level].row = -1;
    for (int64_t k = 0; k + 1 < r->nnode; k++) {
        const int64_t first = k * g->room, nnear = g->near.size[k];
        if (g->far.size[k])
            add_singles(g, v, r, s, k);
        if (nnear)
            find_places(r, g->near.haversine + first, v->most[k], nnear, g->place);
        for (int64_t n = 0; n < nnear; n++) {
            const double place = g->place[n], h = g->near.haversine[first + n];
            const int64_t pixel = g->near.pixel[first + n];
            const int64_t i = (uint32_t)pixel / (uint32_t)s->nlon;
            const int64_t due = v->least[k * r->nbin + (int64_t)place / STRIDE];
            if (due == RAW) {
                if (add_several(g, v, s, stencils, k, pixel, i, h, lon, lat, event_cosine))
                    return 1;
            } else if (place < r->nrad - 1) {
                const single mean = single_at(g, r, s, k, place, pixel);
                if (due == SINGLE) {
                    const int64_t last = first + g->far.size[k]++;
                    g->far.haversine[last] = h;
                    g->singles[last] = mean;
                } else
                    add_harmonic(g, v, s, mean, due, k, i, h);
            }
        }
    }
    weigh_points(&g->several, r);
    return 0;
}

static void release(gathered *g, view *v)
{
    clear(&g->several);
    for (int h = 0; h < HARMONICS; h++)
        free(g->harmonics[h]);
    free(g->members);
    free(g->singles);
    free(g->far.haversine);
    free(g->far.pixel);
    free(v->reach);
    free(v->least);
}

/* Room for all pixels, whole rows, and offset nodes; numbers of a kind in one piece. */
static int reserve(gathered *g, view *v, const response *r, const sky *s, int64_t nmap)
{
    const int64_t room = s->nlat * s->nlon + LANES, each = r->nnode * room;
    int failed = 0;
    memset(g, 0, sizeof *g);
    memset(v, 0, sizeof *v);
    const double edge = sin(0.5 * smaller(r->rad_max, M_PI) * (1.0 - 1e-12));
    v->end = smaller(edge * edge, 1.0 - 1e-15);
    v->first = -1; /* no window yet */
    g->room = room;
    g->nmap = nmap;
    for (int h = 0; h < HARMONICS; h++) {
        g->harmonics[h] = malloc(room * sizeof *g->harmonics[h]);
        failed |= !g->harmonics[h];
    }
    g->members = malloc(room * sizeof *g->members);
    g->singles = malloc(each * sizeof *g->singles);
    double *on_sky = malloc((2 * each + room + 3 * s->nlat + s->nlon) * sizeof *on_sky);
    int64_t *numbers = malloc((2 * each + room + 2 * s->nlat) * sizeof *numbers);
    double *by_node = malloc((r->nnode * 4 + (r->nnode + LANES) * LANES) * sizeof *by_node);
    int64_t *counts = calloc(r->nnode * (r->nbin + 2), sizeof *counts);
    g->far.haversine = on_sky;
    g->far.pixel = numbers;
    v->reach = by_node;
    v->least = counts;
    if (failed || !g->members || !g->singles || !on_sky || !numbers || !by_node || !counts)
        return 1;
    g->near.haversine = on_sky + each;
    g->place = on_sky + 2 * each;
    v->rise = g->place + room;
    v->cosines = v->rise + s->nlat;
    v->up = v->cosines + s->nlat;
    v->square = v->up + s->nlat;
    g->near.pixel = numbers + each;
    g->due = numbers + 2 * each;
    v->west = g->due + room;
    v->east = v->west + s->nlat;
    v->most = by_node + r->nnode;
    v->narrow = by_node + 2 * r->nnode;
    v->single_from = by_node + 3 * r->nnode;
    v->share = by_node + 4 * r->nnode;
    g->far.size = counts + r->nnode * r->nbin;
    g->near.size = g->far.size + r->nnode;
    for (int64_t k = 0; k < r->nnode; k++)
        v->most[k] = -1.0;
    return 0;
}
