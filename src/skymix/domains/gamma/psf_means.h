/* Means of the PSF over squares, as tables over the distance of their centres. */

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
