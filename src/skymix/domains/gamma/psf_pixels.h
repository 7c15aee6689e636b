/* The pixels of a sky that a direction sees, with the points that stand for each. */

/* All pixels of the rows, as if each were a single point: at a radial node of its lower offset node,
 * and the next with some weight. Those that are so, by table 0, are listed by offset node. */
typedef struct {
    int64_t size, room;
    double *distance, *next, *fraction;
    int64_t *pixel, *row;
    int64_t *listed, *nlisted; /* (nnode, room), (nnode) */
} singles;

/* A pixel within reach of an event that has several points, from the first. */
typedef struct {
    int64_t pixel, node, first, npoint;
    double fraction, distance;
} member;

/* The pixels by the table that they use. */
typedef struct {
    singles single;
    member *members[SQUARES + 1]; /* of table 0: none */
    int64_t nmember[SQUARES + 1];
    points several;
    int64_t *due; /* room for a list of single points */
} gathered;

/* What an event needs of the response: blocks, radius, and by offset node the quadratures. */
typedef struct {
    int64_t start, stop, first, last; /* true energies, and blocks of them */
    int64_t low, high;                /* offset nodes */
    double radius, most;              /* and its haversine */
    double *reach;    /* (nnode - 1) of the PSF in these blocks */
    double *farthest; /* (nnode - 1) the same, -1 where the event is too far */
    double *narrow;   /* (nnode - 1) width of the PSF */
    int64_t *least;   /* (nnode - 1, nbin) */
    double *share;    /* (nnode, LANES) */
    /* (nlon + LANES) of the pixels of a row: distance, place among the radial nodes, table. */
    double *distance, *place;
    int64_t *table;
} view;

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
    /* Of those on the edge themselves, rounding decides. */
    const double low = (lon - far - s->lon[0]) / s->pixel + 1.0 - 1e-6;
    const double high = (lon + far - s->lon[0]) / s->pixel + 1.0 + 1e-6;
    *first = low > 0.0 ? (low < s->nlon ? (int64_t)low : s->nlon) : 0;
    *last = high < s->nlon ? (high > 0.0 ? (int64_t)high : 0) : s->nlon;
}

/* Distances of the pixels of a row, and their places among the radial nodes. Whole vectors are
 * done, if need be past the last column. */
INLINE void measure(const view *v, const response *r, const sky *s, double lon, double rise,
                    double cosines, int64_t first, int64_t last)
{
    const double scale = (r->nrad - 1) / sqrt(r->rad_max), end = r->nrad - 1;
    const double west = s->lon[0] - lon, width = s->pixel;
    const double far = larger(fabs(west + first * width), fabs(west + last * width));
    double *restrict distance = v->distance, *restrict place = v->place;
    const int64_t padded = first + (last - first + LANES - 1) / LANES * LANES;
    if (far < 0.6 && v->most < 0.5 * NEAR)
        for (int64_t j = first; j < padded; j++) {
            const double side = small_sine(0.5 * (west + j * width));
            distance[j] = small_angle(rise + cosines * side * side);
            place[j] = smaller(sqrt(distance[j]) * scale, end);
        }
    else
        for (int64_t j = first; j < last; j++) {
            const double side = sine(0.5 * (west + j * width));
            distance[j] = angle(rise + cosines * side * side);
            place[j] = smaller(sqrt(distance[j]) * scale, end);
        }
}

/* Choose the table of the pixels of a row, -1 if they are not seen, and list those of table 0. */
INLINE void choose(singles *to, const view *v, const response *r, const int64_t *restrict node,
                   int64_t first, int64_t last)
{
    const double *restrict distance = v->distance, *restrict place = v->place;
    const double *restrict farthest = v->farthest, end = r->nrad - 1;
    const int64_t *restrict least = v->least, nbin = r->nbin, start = to->size - first;
    int64_t *restrict table = v->table, *restrict listed = to->listed, *restrict size = to->nlisted;
    for (int64_t j = first; j < last; j++) {
        const int64_t k = node[j], due = least[k * nbin + (int64_t)place[j] / STRIDE];
        const int seen = distance[j] <= farthest[k];
        table[j] = seen ? due : -1;
        /* Without a branch, which nobody could foresee: what is not to stay is written over. */
        listed[k * to->room + size[k]] = start + j;
        size[k] += seen & (due == 0) & (place[j] < end);
    }
}

/* Add the pixels of a row. Whole vectors are done: what lies past the last column is written over
 * by the next row. */
INLINE void add_singles(singles *to, const view *v, const response *r, const sky *s, int64_t i,
                        int64_t first, int64_t last)
{
    const ivec lanes = {0, 1, 2, 3, 4, 5, 6, 7};
    int64_t n = to->size;
    for (int64_t j = first; j < last; j += LANES, n += LANES) {
        const int64_t pixel = i * s->nlon + j;
        const vec place = *(const vec *)(v->place + j);
        const ivec row = __builtin_convertvector(place, ivec);
        *(vec *)(to->distance + n) = *(const vec *)(v->distance + j);
        *(vec *)(to->next + n) = place - __builtin_convertvector(row, vec);
        *(vec *)(to->fraction + n) = *(const vec *)(s->fraction + pixel);
        *(ivec *)(to->pixel + n) = pixel + lanes;
        *(ivec *)(to->row + n) = *(const ivec *)(s->node + pixel) * r->nrad + row;
    }
    to->size += last - first;
}

/* Add a pixel with several points. */
INLINE int add_several(gathered *g, const view *v, const sky *s, stencil *stencils, int64_t i,
                       int64_t j, double dlat, double dlon, double event_cosine)
{
    const int64_t pixel = i * s->nlon + j, k = s->node[pixel], start = g->several.size;
    const int64_t table = v->table[j], level = level_of(v, s, table, k, v->distance[j]);
    if (stencils[level].row != i)
        set_stencil(stencils + level, s, level, i, dlat, event_cosine);
    if (add_points(&g->several, stencils + level, s, level, dlon))
        return 1;
    g->members[table][g->nmember[table]++] = (member){
        pixel, k, start, g->several.size - start, s->fraction[pixel], v->distance[j]};
    return 0;
}

/* The pixels within reach of an event, with their points. */
INLINE int gather(gathered *g, view *v, const response *r, const sky *s, double lon, double lat)
{
    const double event_cosine = cos(lat);
    const double edge = sin(0.5 * smaller(v->radius, 3.141592653589793));
    v->most = edge * edge;
    g->several.size = g->single.size = 0;
    memset(g->nmember, 0, sizeof g->nmember);
    memset(g->single.nlisted, 0, r->nnode * sizeof *g->single.nlisted);
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
        measure(v, r, s, lon, rise, cosines, first, last);
        choose(&g->single, v, r, s->node + i * s->nlon, first, last);
        add_singles(&g->single, v, r, s, i, first, last);
        for (int64_t j = first; j < last; j++)
            if (v->table[j] > 0
                && add_several(g, v, s, stencils, i, j, dlat, s->lon[j] - lon, event_cosine))
                return 1;
    }
    place_points(&g->several, r);
    weigh_points(&g->several, r);
    return 0;
}

static void release(gathered *g, view *v)
{
    for (int t = 0; t <= SQUARES; t++)
        free(g->members[t]);
    clear(&g->several);
    free(g->single.distance);
    free(g->single.pixel);
    free(v->farthest);
    free(v->least);
    free(v->distance);
}

/* Room for all pixels, rows for whole vectors, and offset nodes; in one piece each. */
static int reserve(gathered *g, view *v, const response *r, const sky *s)
{
    const int64_t npixel = s->nlat * s->nlon, padded = npixel + LANES, row = s->nlon + LANES;
    int failed = 0;
    memset(g, 0, sizeof *g);
    memset(v, 0, sizeof *v);
    v->first = -1; /* no window yet */
    for (int t = 1; t <= SQUARES; t++) {
        g->members[t] = malloc(npixel * sizeof **g->members);
        failed |= !g->members[t];
    }
    double *by_pixel = g->single.distance = malloc(3 * padded * sizeof *by_pixel);
    int64_t *numbers = g->single.pixel = malloc(((3 + r->nnode) * padded + r->nnode) * sizeof *numbers);
    double *by_node = v->farthest = malloc(r->nnode * (3 + LANES) * sizeof *by_node);
    v->least = calloc(r->nnode * r->nbin, sizeof *v->least);
    double *by_column = v->distance = malloc(3 * row * sizeof *by_column);
    failed |= !by_pixel || !numbers || !by_node || !v->least || !by_column;
    if (failed)
        return 1;
    for (int64_t k = 0; k < r->nnode; k++)
        v->farthest[k] = -1.0;
    g->single.next = by_pixel + padded;
    g->single.fraction = by_pixel + 2 * padded;
    g->single.room = padded;
    g->single.row = numbers + padded;
    g->due = numbers + 2 * padded;
    g->single.listed = numbers + 3 * padded;
    g->single.nlisted = g->single.listed + r->nnode * padded;
    v->narrow = by_node + r->nnode;
    v->reach = by_node + 2 * r->nnode;
    v->share = by_node + 3 * r->nnode;
    v->place = by_column + row;
    v->table = (int64_t *)(by_column + 2 * row);
    return 0;
}
