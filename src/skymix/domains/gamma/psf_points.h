/* The points that stand for a pixel of a sky where the PSF is narrow. */

typedef struct {
    int64_t nlat, nlon;
    const double *lon, *lat;     /* pixel centres, equally spaced */
    const double *sine, *cosine, *tangent; /* of the latitudes */
    const double *size, *shape;  /* (nlat) excess of the pixels over the square of the tables */
    /* (nlat, nlon) lower offset node and distance to the next; the same node, or the last if
     * there is nothing to see. */
    const int64_t *node;
    const double *fraction;
    const int32_t *lit;
    double pixel, height, width; /* sides and mean size of a pixel */
    int64_t nlevel, nside;       /* rule of the quadratures */
    const double *nodes, *weights, *limits;
    const int64_t *sizes;
} sky;

/* Points: the haversines of their distances and their weights; once weighed, a radial node and the
 * weights of this and of the next. */
typedef struct {
    int64_t size, room;
    double *lower, *upper; /* haversine and weight, then the two weights */
    int64_t *row;
} points;

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
    double rise[MOST], cosines[MOST]; /* of each of its latitudes, as haversines need them */
} stencil;

INLINE void set_stencil(stencil *t, const sky *s, int64_t level, int64_t i, double dlat,
                        double event_cosine)
{
    t->row = i;
    t->size = s->sizes[level];
    for (int64_t p = 0; p < t->size; p++) {
        const double shift = s->height * s->nodes[level * s->nside + p];
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
        const double side = sine(0.5 * (dlon + s->pixel * nodes[q]));
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

/* Haversines, of which the largest is given, to places among the radial nodes. */
INLINE void find_places(const response *r, const double *haversine, double most,
                        int64_t size, double *place)
{
    const double scale = (r->nrad - 1) / sqrt(r->rad_max), last = r->nrad - 1;
    if (most < NEAR)
        for (int64_t i = 0; i < size; i++)
            place[i] = smaller(small_angle_root(haversine[i]) * scale, last);
    else
        for (int64_t i = 0; i < size; i++)
            place[i] = smaller(sqrt(angle(haversine[i])) * scale, last);
}

/* Haversines to nodes and weights; nothing lies beyond the last node. */
INLINE void weigh_points(const points *p, const response *r)
{
    double *restrict lower = p->lower, *restrict upper = p->upper, most = 0.0;
    int64_t *restrict row = p->row;
    const double last = r->nrad - 1;
    for (int64_t i = 0; i < p->size; i++)
        most = larger(most, lower[i]);
    find_places(r, lower, most, p->size, lower);
    for (int64_t i = 0; i < p->size; i++) {
        const double place = lower[i] < last ? lower[i] : 0.0;
        const double weight = lower[i] < last ? upper[i] : 0.0;
        row[i] = (int64_t)place;
        upper[i] = weight * (place - row[i]);
        lower[i] = weight - upper[i];
    }
}
