/* Means of the PSF over pixels, as tables over the distance of their centres.
 *
 * Over a square seen at an angle phi to its sides, the mean is a sum of cos(4 n phi), each with a
 * table of its own. A pixel that is nearly that square adds, to first order, its excess in size
 * and, with cos(2 phi), in shape. All are linear in the PSF's values at the radial nodes, so that
 * one set of weights serves all energies and offsets. What the terms leave out is found by
 * quadratures over the most unlike pixels themselves. */

#define ACCURACY 5e-4 /* largest error of a mean, as a share of it ... */
#define FLOOR 5e-6    /* ... beside this share of the peak */
#define ENOUGH 1.2    /* largest square over the scale of the PSF there: the mean alone, */
#define WIDEST 3.6    /* ... and with harmonics */
#define FARTHER 0.4   /* scale over distance, far from the centre */
#define WITHIN 10.0   /* sides within which there are harmonics */
#define EXCESS 0.02   /* in size or shape, for the derivatives */
#define TINY 1e-250   /* less is nothing: arithmetic with denormal numbers is slow */

enum {
    TERMS = 1 + HARMONICS, /* the mean, and what is beside it */
    FINE = 6,              /* points on a side near the centre */
    COARSE = 3,            /* farther away */
    UNLIKE = 6,            /* two pixels at three angles */
    CHECKS = UNLIKE + 1,   /* and the mean */
};

typedef struct {
    int64_t nnode, nrad, nenergy, nblock, nbin;
    double rad_max;
    double side;            /* of the square, in rad */
    const double *unlike;   /* (2, 2) size and shape of the most unlike pixels */
    const double *farthest; /* (nblock) farthest pixels that are visited, rad */
    const double *scale;    /* (nnode, nblock) width of the PSF */
    const double *psf;      /* (nnode, nrad, nenergy) */
    int64_t with_means;     /* whether to fill more than the first of the tables */
    double *raw, *means;    /* (nblock, nnode, nrad, LANES), output, zero on entry */
    double *harmonics;      /* (HARMONICS, nblock, nnode, nrad, LANES), the same */
    uint8_t *least;         /* (nnode - 1, nblock, nbin) what pixels are, output; RAW on entry */
} smoothing;

/* Sums over radial nodes, `count` of them, from the first node on. */
typedef struct {
    int64_t first, size, count;
    double *weights; /* (size, count) */
} combination;

static double radius_of(const smoothing *s, int64_t r)
{
    const double place = r / (s->nrad - 1.0);
    return s->rad_max * place * place;
}

/* Where there are no harmonics. */
static int is_far(const smoothing *s, double radius)
{
    return radius > WITHIN * s->side;
}

/* A rectangle by its excess over the square, and where it is. */
typedef struct {
    double size, shape, radius, angle;
} rectangle;

/* Places among the radial nodes of the points of a rectangle. */
INLINE void square_points(const smoothing *s, rectangle q, const double *nodes, int64_t side,
                          double *restrict place)
{
    const double wide = s->side * sqrt(1.0 + q.size + q.shape);
    const double high = s->side * sqrt(1.0 + q.size - q.shape);
    const double x = q.radius * cos(q.angle), y = q.radius * sin(q.angle);
    const double scale = (s->nrad - 1) / sqrt(s->rad_max);
    for (int64_t p = 0; p < side; p++)
        for (int64_t o = 0; o < side; o++) {
            const double a = x + wide * nodes[p], b = y + high * nodes[o];
            place[p * side + o] = sqrt(sqrt(a * a + b * b)) * scale;
        }
}

/* Add the mean over a rectangle, times a factor for each sum. */
CLONES static void add_mean(const smoothing *s, combination *to, rectangle q, int64_t side,
                            const double *factors)
{
    static const double nodes[2][FINE] = {
        {-0.3872983346207417, 0.0, 0.3872983346207417},
        {-0.4662347571015761, -0.3306046932331323, -0.1193095930415985, 0.1193095930415985,
         0.3306046932331323, 0.4662347571015761}};
    static const double weights[2][FINE] = {
        {5.0 / 18.0, 8.0 / 18.0, 5.0 / 18.0},
        {0.0856622461895852, 0.1803807865240693, 0.2339569672863455, 0.2339569672863455,
         0.1803807865240693, 0.0856622461895852}};
    double place[FINE * FINE];
    const int64_t rule = side == FINE, count = to->count;
    if (rule)
        square_points(s, q, nodes[1], FINE, place);
    else
        square_points(s, q, nodes[0], COARSE, place);
    for (int64_t p = 0; p < side * side; p++) {
        const int64_t r = (int64_t)place[p];
        if (r >= s->nrad - 1)
            continue;
        const double weight = weights[rule][p / side] * weights[rule][p % side];
        const double next = weight * (place[p] - r), here = weight - next;
        double *restrict sums = to->weights + r * count;
        for (int64_t t = 0; t < count; t++) {
            sums[t] += here * factors[t];
            sums[count + t] += next * factors[t];
        }
    }
}

/* Add the mean over a square, and over all angles, times a factor for each sum. */
static void add_mean_of_angles(const smoothing *s, combination *to, double radius,
                               const double *factors)
{
    /* Far away that of one so turned that it has no fourfold term. */
    if (is_far(s, radius)) {
        add_mean(s, to, (rectangle){0.0, 0.0, radius, M_PI / 8.0}, COARSE, factors);
        return;
    }
    double third[CHECKS];
    for (int64_t t = 0; t < to->count; t++)
        third[t] = factors[t] / 3.0;
    for (int a = 0; a < 3; a++)
        add_mean(s, to, (rectangle){0.0, 0.0, radius, (a + 0.5) * M_PI / 12.0}, FINE, third);
}

/* Weights of the mean far from the centre. */
static void weigh_mean(const smoothing *s, combination *to, double radius)
{
    add_mean_of_angles(s, to, radius, (double[]){1.0});
}

/* Weights of the mean and of the terms beside it. */
static void weigh_terms(const smoothing *s, combination *to, double radius)
{
    for (int a = 0; a < 3; a++) {
        const double phi = (a + 0.5) * M_PI / 12.0;
        const double square[TERMS]
            = {1.0 / 3.0, 2.0 / 3.0 * cos(4.0 * phi), 0.0, 2.0 / 3.0 * cos(8.0 * phi)};
        add_mean(s, to, (rectangle){0.0, 0.0, radius, phi}, FINE, square);
    }
    for (int a = 0; a < 2; a++) {
        const double phi = (a + 0.5) * M_PI / 8.0;
        const double grown[TERMS] = {[HARMONICS] = 0.25 / EXCESS};
        const double shrunk[TERMS] = {[HARMONICS] = -0.25 / EXCESS};
        add_mean(s, to, (rectangle){EXCESS, 0.0, radius, phi}, FINE, grown);
        add_mean(s, to, (rectangle){-EXCESS, 0.0, radius, phi}, FINE, shrunk);
    }
    for (int a = 0; a < 4; a++) {
        const double phi = (a + 0.5) * M_PI / 8.0;
        const double longer[TERMS] = {0.0, 0.0, cos(2.0 * phi) / (2.0 * EXCESS)};
        add_mean(s, to, (rectangle){0.0, EXCESS, radius, phi}, FINE, longer);
    }
}

/* Weights of the means over the most unlike pixels along a side, the diagonal and the other side,
 * and of the mean over all angles. */
static void weigh_checks(const smoothing *s, combination *to, double radius)
{
    const int64_t side = is_far(s, radius) ? COARSE : FINE;
    add_mean_of_angles(s, to, radius, (double[CHECKS]){[UNLIKE] = 1.0});
    for (int i = 0; i < UNLIKE; i++) {
        const double *excess = s->unlike + i / 3 * 2;
        double factors[CHECKS] = {0.0};
        const rectangle pixel = {excess[0], excess[1], radius, i % 3 * M_PI / 4.0};
        factors[i] = 1.0;
        add_mean(s, to, pixel, side, factors);
    }
}

/* Put together at a radius, in `dense` (nrad, CHECKS or fewer), and kept without zeros around. */
static int combine(const smoothing *s, combination *out, double *dense, double radius,
                   int64_t count, void (*weigh)(const smoothing *, combination *, double))
{
    const double reach = 0.75 * s->side * sqrt(1.1 + fabs(s->unlike[0]) + fabs(s->unlike[2])
                                               + fabs(s->unlike[1]) + fabs(s->unlike[3]));
    const double scale = (s->nrad - 1) / sqrt(s->rad_max);
    const double low = sqrt(larger(0.0, radius - reach)) * scale;
    const double high = sqrt(radius + reach) * scale + 2.0;
    const int64_t last = high < s->nrad ? (int64_t)high : s->nrad;
    out->first = smaller(low, last);
    out->size = last - out->first;
    out->count = count;
    out->weights = dense;
    memset(dense + out->first * count, 0, out->size * count * sizeof *dense);
    weigh(s, out, radius);
    out->weights = malloc(out->size * count * sizeof *dense + 1);
    if (!out->weights)
        return 1;
    memcpy(out->weights, dense + out->first * count, out->size * count * sizeof *dense);
    return 0;
}

/* One of the sums of the rows of a slab. */
INLINE vec add_up_one(const combination *c, const vec *raw, int64_t which)
{
    /* Four parts, of which none waits for another. */
    const double *weights = c->weights + which;
    const int64_t count = c->count;
    vec part[4] = {0};
    int64_t q = 0;
    for (; q + 4 <= c->size; q += 4)
        for (int64_t t = 0; t < 4; t++)
            part[t] += weights[(q + t) * count] * raw[c->first + q + t];
    for (; q < c->size; q++)
        part[0] += weights[q * count] * raw[c->first + q];
    return (part[0] + part[1]) + (part[2] + part[3]);
}

/* All sums of the rows of a slab; `count` is that of the combination. */
INLINE void add_up(const combination *c, const vec *raw, int64_t count, vec *restrict sums)
{
    const double *restrict weights = c->weights;
    vec total[CHECKS] = {0};
    for (int64_t q = 0; q < c->size; q++)
        for (int64_t t = 0; t < count; t++)
            total[t] += weights[q * count + t] * raw[c->first + q];
    for (int64_t t = 0; t < count; t++)
        sums[t] = total[t];
}

INLINE int exceeds(vec error, vec mean, vec peak)
{
    for (int e = 0; e < LANES; e++)
        if (fabs(error[e]) > ACCURACY * mean[e] + FLOOR * peak[e])
            return 1;
    return 0;
}

/* The combinations of every radial node, of all terms or far from the centre the mean, and those of
 * each STRIDE-th that are to be checked. */
typedef struct {
    combination *terms, *checks;
} operators;

/* What pixels at a radial node are. */
INLINE uint8_t choose(const smoothing *s, operators o, const vec *raw, int64_t r, double scale)
{
    const double radius = radius_of(s, r), smooth = larger(scale, FARTHER * (radius - s->side));
    vec checks[CHECKS], error[UNLIKE], terms[TERMS];
    int due = SINGLE, enough = s->side <= ENOUGH * smooth;
    if (s->side > WIDEST * smooth)
        return RAW;
    add_up(o.checks + r / STRIDE, raw, CHECKS, checks);
    for (int i = 0; i < UNLIKE; i++) {
        error[i] = checks[i] - checks[UNLIKE];
        enough = enough && !exceeds(error[i], checks[i], raw[0]);
    }
    if (!enough && o.terms[r].count == 1)
        return RAW;
    if (!enough)
        add_up(o.terms + r, raw, TERMS, terms);
    for (; !enough && due < ALL; due++) {
        enough = 1;
        for (int i = 0; i < UNLIKE; i++) {
            const double *excess = s->unlike + i / 3 * 2;
            const double fourfold = i % 3 == 1 ? -1.0 : 1.0, twofold = 1 - i % 3;
            if (due == SINGLE)
                error[i] -= fourfold * terms[1];
            else
                error[i] -= excess[1] * twofold * terms[2] + terms[3] + excess[0] * terms[4];
            enough = enough && !exceeds(error[i], checks[i], raw[0]);
        }
    }
    return enough ? due : RAW;
}

/* What pixels of a block at one offset node are, by bins of radial nodes; farther than any pixel
 * the same as in the bin before. */
CLONES static void choose_all(const smoothing *s, operators o, const vec *raw, int64_t filled,
                              double scale, uint8_t *seen)
{
    for (int64_t bin = 0; bin < s->nbin; bin++)
        seen[bin] = bin * STRIDE < filled ? choose(s, o, raw, bin * STRIDE, scale)
                    : bin                 ? seen[bin - 1]
                                          : RAW;
}

/* Fill the tables of the mean, and of the harmonics that are due, at the radial nodes of a bin and
 * at the first of the next. */
CLONES static void fill(const smoothing *s, operators o, int64_t slab, int64_t bin, int due)
{
    const int64_t each = s->nblock * s->nnode * s->nrad, last = (bin + 1) * STRIDE;
    const vec *raw = (vec *)s->raw + slab * s->nrad;
    vec *means = (vec *)s->means + slab * s->nrad;
    vec *harmonics = (vec *)s->harmonics + slab * s->nrad, terms[TERMS];
    for (int64_t r = bin * STRIDE; r <= last && r < s->nrad && o.terms[r].weights; r++)
        if (due == SINGLE || o.terms[r].count == 1)
            means[r] = add_up_one(o.terms + r, raw, 0);
        else if (due == ONE) {
            means[r] = add_up_one(o.terms + r, raw, 0);
            harmonics[r] = add_up_one(o.terms + r, raw, 1);
        } else {
            add_up(o.terms + r, raw, TERMS, terms);
            means[r] = terms[0];
            for (int64_t h = 0; h < HARMONICS; h++)
                harmonics[h * each + r] = terms[1 + h];
        }
}

/* Radial nodes out to the first at or beyond a radius. */
static int64_t nodes_within(const smoothing *s, double radius)
{
    const double place = sqrt(radius / s->rad_max) * (s->nrad - 1);
    return place < s->nrad - 2 ? (int64_t)place + 2 : s->nrad;
}

/* Put all combinations together, as far as pixels are visited. */
static int weigh_rows(const smoothing *s, operators o, int64_t filled)
{
    double *dense = malloc((s->nrad + 1) * CHECKS * sizeof *dense);
    int failed = !dense;
    for (int64_t r = 0; r < filled && !failed; r++) {
        const double radius = radius_of(s, r);
        failed = is_far(s, radius) ? combine(s, o.terms + r, dense, radius, 1, weigh_mean)
                                   : combine(s, o.terms + r, dense, radius, TERMS, weigh_terms);
        if (!failed && r % STRIDE == 0)
            failed = combine(s, o.checks + r / STRIDE, dense, radius, CHECKS, weigh_checks);
    }
    free(dense);
    return failed;
}

/* What is due between two offset nodes: the worse of these, and of a bin and the next. Then the
 * tables that this needs are filled, as far as pixels are visited. */
static void take_worse(const smoothing *s, operators o, const uint8_t *seen, int64_t b,
                       int64_t filled)
{
    for (int64_t i = 0; i < s->nbin; i++) {
        int before = RAW;
        for (int64_t k = 0; k < s->nnode; k++) {
            int due = RAW;
            if (k + 1 < s->nnode) {
                const uint8_t *one = seen + k * s->nbin + i, *next = one + s->nbin;
                const int64_t further = i + 1 < s->nbin;
                const int low = one[0] > one[further] ? one[0] : one[further];
                const int high = next[0] > next[further] ? next[0] : next[further];
                due = low > high ? low : high;
                s->least[(k * s->nblock + b) * s->nbin + i] = due;
            }
            /* A node serves what lies below it and what lies above; RAW needs no means. */
            const int low = due % RAW, high = before % RAW;
            if (i * STRIDE < filled && (due < RAW || before < RAW))
                fill(s, o, b * s->nnode + k, i, low > high ? low : high);
            before = due;
        }
    }
}

/* Lay the PSF out by blocks of energies, beside its means over pixels; say where these will do.
 *
 * Returns 1 if there is no memory.
 */
int64_t skymix_smooth_psf(const smoothing *s)
{
    const int64_t ncombination = s->nrad + s->nbin;
    combination *all = calloc(ncombination, sizeof *all);
    const operators o = {all, all + s->nrad};
    uint8_t *seen = malloc(s->nnode * s->nbin);
    double most = 0.0;
    for (int64_t b = 0; b < s->nblock; b++)
        most = larger(most, s->farthest[b]);
    const int failed
        = !all || !seen || (s->with_means && weigh_rows(s, o, nodes_within(s, most)));
    for (int64_t b = 0; b < s->nblock && !failed; b++) {
        /* The points of the farthest pixels, square or not, are within two sides. */
        const int64_t seen_to = nodes_within(s, s->farthest[b] + 2.0 * s->side);
        const int64_t filled = nodes_within(s, s->farthest[b]);
        const int64_t left = s->nenergy - b * LANES, count = left < LANES ? left : LANES;
        for (int64_t k = 0; k < s->nnode; k++) {
            const int64_t first = (b * s->nnode + k) * s->nrad;
            double *raw = s->raw + first * LANES;
            for (int64_t r = 0; r < seen_to; r++) {
                const double *psf = s->psf + (k * s->nrad + r) * s->nenergy + b * LANES;
                for (int64_t l = 0; l < count; l++)
                    raw[r * LANES + l] = psf[l] < TINY ? 0.0 : psf[l];
            }
            if (s->with_means)
                choose_all(s, o, (vec *)raw, filled, s->scale[k * s->nblock + b],
                           seen + k * s->nbin);
        }
        if (s->with_means)
            take_worse(s, o, seen, b, filled);
    }
    for (int64_t i = 0; all && i < ncombination; i++)
        free(all[i].weights);
    free(all);
    free(seen);
    return failed;
}
