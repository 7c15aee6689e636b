/* The pixels of a sky that a direction sees. */

/* A pixel that is a value of the table of means: at a radial node, counted over all offset nodes,
 * and the next with some weight. Pixels are counted in vectors of content. */
typedef struct {
    double next, fraction;
    int64_t row;
    int32_t pixel, node;
} single;

/* A pixel that has harmonics, with the factors of these. */
typedef struct {
    single mean;
    double haversine, factors[HARMONICS];
} harmonic;

/* A pixel that has several points, from the first. */
typedef struct {
    int64_t pixel, node, first, npoint;
    double fraction, haversine;
} member;

/* Pixels of a list; the rows are those of the near ones only. */
typedef struct {
    int64_t size;
    double *haversine;
    int32_t *pixel, *row;
} listed;

typedef struct {
    int64_t nmap;
    listed far, near;       /* certain singles, and pixels that may be something else */
    single *singles;        /* the far ones, then those of the near */
    harmonic *harmonics[2]; /* those with one term, and those with all */
    member *members;
    int64_t nharmonic[2], nmember;
    points several;
    double *place; /* of a list, among the radial nodes */
    int32_t *due;  /* room for a list of singles */
} gathered;

/* What an event needs of the response: blocks, radius, and by offset node the quadratures. */
typedef struct {
    int64_t start, stop, first, last; /* true energies, and blocks of them */
    int64_t begin_energy, end_energy; /* those of them within the dispersion's table */
    int64_t low, high;                /* offset nodes */
    double radius;                    /* out to which pixels are seen, rad */
    double *reach;  /* (nnode - 1) of the PSF, from the lowest energy of each block on */
    double *most;   /* (nnode) haversine of the same, -1 where nothing is seen */
    double *single_from; /* (nnode) haversine from which on pixels are certain singles ... */
    double *single_to;   /* (nnode) ... and up to which they are within reach and the tables */
    double end;     /* haversine of the last radial node, from which on there is nothing */
    double *narrow; /* (nnode - 1) width of the PSF */
    vec *share;     /* (nnode, 2) of each energy of a block in the event's; the rise to the next */
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

/* List the pixels within reach, those that may be no singles apart.
 *
 * Without a branch, which nobody could foresee: what is not to stay is written over. */
INLINE void list_pixels(gathered *g, const view *v, const sky *s, int64_t nnode)
{
    const double *restrict most = v->most, *restrict square = v->square;
    const double *restrict single = v->single_from, *restrict last = v->single_to;
    double *restrict far = g->far.haversine, *restrict near = g->near.haversine;
    int32_t *restrict far_pixel = g->far.pixel, *restrict near_pixel = g->near.pixel;
    int32_t *restrict near_row = g->near.row;
    int64_t nfar = 0, nnear = 0;
    double certain = 0.0;
    for (int64_t k = 0; k < nnode; k++)
        if (most[k] >= 0.0)
            certain = larger(certain, single[k]);
    for (int64_t i = v->south; i < v->north; i++) {
        const double rise = v->rise[i], cosines = v->cosines[i];
        const int64_t row = i * s->nlon;
        const int32_t *restrict lit = s->lit + row;
        if (rise >= certain)
            for (int64_t j = v->west[i]; j < v->east[i]; j++) {
                const double h = rise + cosines * square[j];
                far[nfar] = h;
                far_pixel[nfar] = row + j;
                nfar += h <= last[lit[j]];
            }
        else
            for (int64_t j = v->west[i]; j < v->east[i]; j++) {
                const int32_t k = lit[j];
                const double h = rise + cosines * square[j];
                far[nfar] = near[nnear] = h;
                far_pixel[nfar] = near_pixel[nnear] = row + j;
                near_row[nnear] = i;
                nfar += (h >= single[k]) & (h <= last[k]);
                nnear += (h < single[k]) & (h <= most[k]);
            }
    }
    g->far.size = nfar;
    g->near.size = nnear;
}

INLINE single single_at(const gathered *g, const response *r, const sky *s, double place,
                        int32_t pixel)
{
    const int32_t below = (int32_t)place, node = s->lit[pixel];
    return (single){place - below, s->fraction[pixel], node * r->nrad + below,
                    pixel * (int32_t)g->nmap, node};
}

/* The certain singles. */
INLINE void add_singles(gathered *g, const response *r, const sky *s, double most)
{
    const int32_t *restrict pixel = g->far.pixel;
    single *restrict to = g->singles;
    find_places(r, g->far.haversine, most, g->far.size, g->place);
    for (int64_t n = 0; n < g->far.size; n++)
        to[n] = single_at(g, r, s, g->place[n], pixel[n]);
}

INLINE void add_harmonic(gathered *g, const view *v, const sky *s, single mean, int64_t due,
                         int64_t i, double h)
{
    /* Of the direction to the event, seen from the pixel: its share of north. */
    const double rise = v->rise[i];
    const double north = 2.0 * (s->tangent[i] * (h - rise) - v->up[i] * sqrt(1.0 - rise));
    const double squared = 2.0 * h * (1.0 - h);
    const double twofold = squared > 0.0 ? larger(-1.0, 1.0 - north * north / squared) : 1.0;
    const double fourfold = 2.0 * twofold * twofold - 1.0;
    g->harmonics[due - ONE][g->nharmonic[due - ONE]++] = (harmonic){
        mean, h,
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
    find_rows(v, s, most, lon, lat, event_cosine);
    list_pixels(g, v, s, r->nnode);
    add_singles(g, r, s, most);
    find_places(r, g->near.haversine, most, g->near.size, g->place);
    stencil stencils[MOST];
    for (int64_t level = 0; level < s->nlevel; level++)
        stencils[level].row = -1;
    for (int64_t n = 0; n < g->near.size; n++) {
        const double place = g->place[n], h = g->near.haversine[n];
        const int64_t pixel = g->near.pixel[n], i = g->near.row[n], k = s->lit[pixel];
        const int64_t due = v->least[k * r->nbin + (int64_t)place / STRIDE];
        if (due == RAW) {
            if (add_several(g, v, s, stencils, k, pixel, i, h, lon, lat, event_cosine))
                return 1;
        } else if (place < r->nrad - 1) {
            const single mean = single_at(g, r, s, place, pixel);
            if (due == SINGLE) {
                g->far.haversine[g->far.size] = h;
                g->singles[g->far.size++] = mean;
            } else
                add_harmonic(g, v, s, mean, due, i, h);
        }
    }
    weigh_points(&g->several, r);
    return 0;
}

static void release(gathered *g, view *v)
{
    clear(&g->several);
    for (int h = 0; h < 2; h++)
        free(g->harmonics[h]);
    free(g->members);
    free(g->singles);
    free(g->far.haversine);
    free(g->far.pixel);
    free(v->reach);
    free(v->share);
    free(v->least);
    free(v->west);
}

/* Room for all pixels, whole rows, and offset nodes; numbers of a kind in one piece. */
static int reserve(gathered *g, view *v, const response *r, const sky *s, int64_t nmap)
{
    const int64_t room = s->nlat * s->nlon + 1;
    int failed = 0;
    memset(g, 0, sizeof *g);
    memset(v, 0, sizeof *v);
    const double edge = sin(0.5 * smaller(r->rad_max, M_PI) * (1.0 - 1e-12));
    v->end = smaller(edge * edge, 1.0 - 1e-15);
    v->first = -1; /* no window yet */
    g->nmap = nmap;
    for (int h = 0; h < 2; h++) {
        g->harmonics[h] = malloc(room * sizeof *g->harmonics[h]);
        failed |= !g->harmonics[h];
    }
    g->members = malloc(room * sizeof *g->members);
    g->singles = malloc(room * sizeof *g->singles);
    double *on_sky = malloc((3 * room + 3 * s->nlat + s->nlon) * sizeof *on_sky);
    int32_t *pixels = malloc(4 * room * sizeof *pixels);
    double *by_node = malloc(5 * r->nnode * sizeof *by_node);
    v->share = aligned_alloc(sizeof(vec), 2 * r->nnode * sizeof *v->share);
    v->least = calloc(r->nnode * r->nbin, sizeof *v->least);
    v->west = malloc(2 * s->nlat * sizeof *v->west);
    g->far.haversine = on_sky;
    g->far.pixel = pixels;
    v->reach = by_node;
    if (failed || !g->members || !g->singles || !on_sky || !pixels || !by_node || !v->share
        || !v->least || !v->west)
        return 1;
    g->near.haversine = on_sky + room;
    g->place = on_sky + 2 * room;
    v->rise = on_sky + 3 * room;
    v->cosines = v->rise + s->nlat;
    v->up = v->cosines + s->nlat;
    v->square = v->up + s->nlat;
    v->east = v->west + s->nlat;
    g->near.pixel = pixels + room;
    g->near.row = pixels + 2 * room;
    g->due = pixels + 3 * room;
    v->most = by_node + r->nnode;
    v->narrow = by_node + 2 * r->nnode;
    v->single_from = by_node + 3 * r->nnode;
    v->single_to = by_node + 4 * r->nnode;
    for (int64_t k = 0; k < r->nnode; k++)
        v->most[k] = v->single_from[k] = v->single_to[k] = -1.0;
    return 0;
}
