/* The pixels of a sky that a direction sees, and the points that stand for each. */

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
