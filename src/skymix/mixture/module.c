/* The compiled kernel as Python's module skymix.mixture._kernel; _kernel.pyi says what is in it.
 *
 * Types of arrays are checked here, and the sizes of those that come with each call; what describes
 * a table, a tree or an interpolation fits together as skymix.mixture makes it.
 */

#include "interfaces.h"
#include "kernel.h"

#include <string.h>

enum { WORTH_RELEASING = 16 }; /* points x tiles above which other threads of Python may run */

static numpy_functions numpy;

static int is_array(const PyObject *any, int type, int flags)
{
    const PyArray *array = (const PyArray *)any;
    return (any->type == numpy.array || PyType_IsSubtype(any->type, numpy.array)) &&
           array->type->number == type && array->type->byte_order == '=' &&
           (array->flags & flags) == flags;
}

static PyObject *new_array(int ndim, const Py_ssize_t *shape, int type)
{
    return numpy.new(numpy.array, ndim, shape, type, 0, 0, 0, 0, 0);
}

static void release(void *object)
{
    if (object)
        Py_DecRef(object);
}

/* Data of an array of a tuple, null with an exception if it is not contiguous or of another type. */
static void *data(PyObject *arrays, Py_ssize_t i, int type)
{
    PyObject *array = PyTuple_GetItem(arrays, i);
    if (!array)
        return 0;
    if (is_array(array, type, NPY_C_CONTIGUOUS | NPY_ALIGNED))
        return ((PyArray *)array)->data;
    PyErr_Format(PyExc_TypeError, "array %zd has not the type or the order that is expected", i);
    return 0;
}

/* Of an array whose data were taken. */
static int64_t length(PyObject *arrays, Py_ssize_t i)
{
    const PyArray *array = (PyArray *)PyTuple_GetItem(arrays, i);
    int64_t size = 1;
    for (int k = 0; k < array->ndim; k++)
        size *= array->shape[k];
    return size;
}

/* New reference to an array of this type with so many axes, the same if it is one. */
static PyArray *array_of(PyObject *any, int type, int ndim, int flags)
{
    flags |= NPY_ALIGNED;
    PyArray *array = (PyArray *)(is_array(any, type, flags)
                                     ? Py_NewRef(any)
                                     : numpy.from_any(any, numpy.descr(type), 0, 0, flags, 0));
    if (!array || array->ndim == ndim)
        return array;
    PyErr_Format(PyExc_ValueError, "an array has %d axes, expected %d", array->ndim, ndim);
    release(array);
    return 0;
}

static int read_tree(PyObject *edges, tree *t)
{
    t->parent = data(edges, 0, NPY_INT64);
    t->column = data(edges, 1, NPY_INT64);
    t->leaf = data(edges, 2, NPY_INT64);
    t->fixed = data(edges, 3, NPY_DOUBLE);
    if (PyErr_Occurred())
        return 0;
    t->nedge = length(edges, 0);
    return 1;
}

static int read_interpolation(PyObject *grids, interpolation *t)
{
    t->offset = data(grids, 0, NPY_INT64);
    t->column = data(grids, 1, NPY_INT64);
    t->logarithmic = data(grids, 2, NPY_INT64);
    t->start = data(grids, 3, NPY_INT64);
    t->first_axis = data(grids, 4, NPY_INT64);
    t->positions = data(grids, 5, NPY_DOUBLE);
    if (PyErr_Occurred())
        return 0;
    t->ntable = length(grids, 0);
    return 1;
}

static int64_t terms_in(const interpolation *t, int64_t k)
{
    return (int64_t)1 << (t->first_axis[k + 1] - t->first_axis[k]);
}

static int64_t terms_of(const interpolation *t)
{
    int64_t count = 0;
    for (int64_t k = 0; k < t->ntable; k++)
        count += terms_in(t, k);
    return count;
}

static int64_t above(const int64_t *values, int64_t count)
{
    int64_t most = 0;
    for (int64_t i = 0; i < count; i++)
        most = values[i] < most ? most : values[i] + 1;
    return most;
}

/* Parameters of points; false with an exception if there are fewer than `columns` of them. */
static int read_parameters(PyArray *theta, int64_t columns, parameters *out)
{
    *out = (parameters){theta->data, theta->shape[0], theta->strides[0], theta->strides[1]};
    if (theta->shape[1] >= columns)
        return 1;
    PyErr_Format(PyExc_ValueError, "%zd parameters, expected at least %lld",
                 theta->shape[1], (long long)columns);
    return 0;
}

/* A table of densities. */
typedef struct {
    PyObject object;
    table table;
    PyObject *arrays; /* tuple that keeps its data */
} Table;

static PyObject *Table_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    (void)keywords;
    PyObject *arrays;
    long long nrow, nsegment, level;
    double exponent;
    if (!PyArg_ParseTuple(args, "O!LLLd", &PyTuple_Type, &arrays, &nrow, &nsegment, &level,
                          &exponent))
        return 0;
    PyObject *values = PyTuple_GetItem(arrays, 0);
    if (!values)
        return 0;
    const int single = is_array(values, NPY_FLOAT, 0);
    table t = {
        .values = data(arrays, 0, single ? NPY_FLOAT : NPY_DOUBLE),
        .offset = data(arrays, 1, NPY_INT64),
        .stride = data(arrays, 2, NPY_INT64),
        .filled = data(arrays, 3, NPY_INT64),
        .segment = data(arrays, 4, NPY_INT64),
        .multiplicity = data(arrays, 5, NPY_DOUBLE),
        .counts_at = data(arrays, 6, NPY_INT64),
        .counts = data(arrays, 7, NPY_DOUBLE),
        .part = data(arrays, 8, NPY_INT64),
        .nrow = nrow,
        .nsegment = nsegment,
        .size = single ? 4 : 8,
        .level = level,
        .exponent = exponent,
    };
    if (PyErr_Occurred())
        return 0;
    t.npart = length(arrays, 8) - 1;
    Table *self = (Table *)PyType_GenericAlloc(type, 0);
    if (self) {
        self->table = t;
        self->arrays = Py_NewRef(arrays);
    }
    return (PyObject *)self;
}

static void Table_dealloc(Table *self)
{
    PyTypeObject *type = self->object.type;
    release(self->arrays);
    PyObject_Free(self);
    release(type);
}

/* Values of points; null with an exception. */
static PyObject *sum_of(const table *t, const points *p, int64_t threads)
{
    const Py_ssize_t count = p->npoint;
    PyObject *values = new_array(1, &count, NPY_DOUBLE);
    if (!values)
        return 0;
    double *value = ((PyArray *)values)->data;
    int failed;
    if (p->npoint * t->part[t->npart] > WORTH_RELEASING) {
        void *thread = PyEval_SaveThread();
        failed = log_sum(t, p, threads, value);
        PyEval_RestoreThread(thread);
    } else {
        failed = log_sum(t, p, threads, value);
    }
    if (!failed)
        return values;
    release(values);
    if (failed == WRONG_ROW)
        PyErr_Format(PyExc_IndexError, "a row is not one of a table of %lld", (long long)t->nrow);
    else
        PyErr_SetString(PyExc_MemoryError, "the mixture sum found no memory, or no thread");
    return 0;
}

/* Sets of a (npoint, nset, nterm) array, 0 if it does not fit. */
static int64_t sets_of(PyArray *array, const Py_ssize_t *like, int64_t nsegment)
{
    const Py_ssize_t *shape = array->shape;
    const int fits = shape[0] == like[0] && shape[2] == like[2] && shape[2] > 0 &&
                     (shape[1] == 1 || shape[1] == nsegment);
    return fits ? shape[1] : 0;
}

static PyObject *Table_log_sum(Table *self, PyObject *args)
{
    PyObject *given_rows, *given, *gradient, *values = 0;
    long long threads;
    if (!PyArg_ParseTuple(args, "OOLO", &given_rows, &given, &threads, &gradient))
        return 0;
    PyArray *rows = array_of(given_rows, NPY_INT64, 3, NPY_C_CONTIGUOUS);
    PyArray *coefficients = array_of(given, NPY_DOUBLE, 3, NPY_C_CONTIGUOUS);
    if (!rows || !coefficients)
        goto done;
    const Py_ssize_t *shape = coefficients->shape;
    const int64_t nset = sets_of(rows, shape, self->table.nsegment);
    const int64_t nown = sets_of(coefficients, shape, self->table.nsegment);
    if (!nset || !nown || threads < 1) {
        PyErr_Format(PyExc_ValueError,
                     "rows (%zd, %zd, %zd), coefficients (%zd, %zd, %zd), %lld threads: expected"
                     " (npoint, 1 or %lld, nterm) of both and at least one thread",
                     rows->shape[0], rows->shape[1], rows->shape[2], shape[0],
                     shape[1], shape[2], threads, (long long)self->table.nsegment);
        goto done;
    }
    points p = {shape[0], nset, nown, shape[2], rows->data, coefficients->data, 0};
    if (gradient != &_Py_NoneStruct) {
        PyArray *out = (PyArray *)gradient;
        if (!is_array(gradient, NPY_DOUBLE, NPY_C_CONTIGUOUS | NPY_ALIGNED | NPY_WRITEABLE) ||
            out->ndim != 3 || memcmp(out->shape, shape, 3 * sizeof *shape)) {
            PyErr_SetString(PyExc_ValueError, "the gradient has not the form of the coefficients");
            goto done;
        }
        p.gradient = out->data;
    }
    values = sum_of(&self->table, &p, threads);
done:
    release(rows);
    release(coefficients);
    return values;
}

static PyMethodDef table_methods[] = {
    {"log_sum", (PyCFunction)Table_log_sum, METH_VARARGS, 0},
    {0},
};

static PyType_Slot table_slots[] = {
    {Py_tp_new, Table_new},
    {Py_tp_dealloc, Table_dealloc},
    {Py_tp_methods, table_methods},
    {0},
};

static PyType_Spec table_spec = {"skymix.mixture._kernel.Table", sizeof(Table), 0,
                                 Py_TPFLAGS_DEFAULT, table_slots};

/* A mixture: from parameters to the log likelihood in one call. */
typedef struct {
    PyObject object;
    Table *table;
    PyObject *edges, *grids; /* tuples that keep the data */
    tree tree;
    interpolation grid;
    int64_t nterm, ndim, threads;
    double constant;
} Mixture;

static PyTypeObject *table_type;

static PyObject *Mixture_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    (void)keywords;
    PyObject *sum, *edges, *grids;
    long long threads;
    double constant;
    if (!PyArg_ParseTuple(args, "O!O!O!Ld", table_type, &sum, &PyTuple_Type, &edges, &PyTuple_Type,
                          &grids, &threads, &constant))
        return 0;
    tree t;
    interpolation g;
    if (!read_tree(edges, &t) || !read_interpolation(grids, &g))
        return 0;
    Mixture *self = (Mixture *)PyType_GenericAlloc(type, 0);
    if (!self)
        return 0;
    self->table = (Table *)Py_NewRef(sum);
    self->edges = Py_NewRef(edges);
    self->grids = Py_NewRef(grids);
    self->tree = t;
    self->grid = g;
    self->nterm = terms_of(&g);
    const int64_t fractions = above(t.column, t.nedge);
    const int64_t scanned = above(g.column, g.first_axis[g.ntable]);
    self->ndim = fractions > scanned ? fractions : scanned;
    self->threads = threads;
    self->constant = constant;
    return (PyObject *)self;
}

static void Mixture_dealloc(Mixture *self)
{
    PyTypeObject *type = self->object.type;
    release(self->table);
    release(self->edges);
    release(self->grids);
    PyObject_Free(self);
    release(type);
}

static PyObject *Mixture_log_likelihood(Mixture *self, PyObject *given)
{
    PyArray *theta = array_of(given, NPY_DOUBLE, 2, 0);
    if (!theta)
        return 0;
    PyObject *values = 0;
    parameters at;
    if (!read_parameters(theta, self->ndim, &at))
        goto done;
    const int64_t nterm = self->nterm;
    double *coefficients = PyMem_Malloc((2 * at.npoint * nterm + 1) * sizeof *coefficients);
    if (!coefficients) {
        PyErr_NoMemory();
        goto done;
    }
    int64_t *rows = (int64_t *)(coefficients + at.npoint * nterm);
    leaf_weights(&self->tree, &at, nterm, coefficients);
    fill_terms(&self->grid, &at, nterm, rows, coefficients);
    const points p = {at.npoint, 1, 1, nterm, rows, coefficients, 0};
    values = sum_of(&self->table->table, &p, self->threads);
    PyMem_Free(coefficients);
    if (values) {
        double *value = ((PyArray *)values)->data;
        for (int64_t i = 0; i < at.npoint; i++)
            value[i] += self->constant;
    }
done:
    release(theta);
    return values;
}

static PyMethodDef mixture_methods[] = {
    {"log_likelihood", (PyCFunction)Mixture_log_likelihood, METH_O, 0},
    {0},
};

static PyType_Slot mixture_slots[] = {
    {Py_tp_new, Mixture_new},
    {Py_tp_dealloc, Mixture_dealloc},
    {Py_tp_methods, mixture_methods},
    {0},
};

static PyType_Spec mixture_spec = {"skymix.mixture._kernel.Mixture", sizeof(Mixture), 0,
                                   Py_TPFLAGS_DEFAULT, mixture_slots};

static PyObject *kernel_leaf_weights(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *given, *edges, *weights = 0;
    tree t;
    parameters at;
    if (!PyArg_ParseTuple(args, "OO!", &given, &PyTuple_Type, &edges) || !read_tree(edges, &t))
        return 0;
    PyArray *fractions = array_of(given, NPY_DOUBLE, 2, 0);
    if (!fractions)
        return 0;
    if (read_parameters(fractions, above(t.column, t.nedge), &at)) {
        const Py_ssize_t shape[2] = {at.npoint, above(t.leaf, t.nedge)};
        weights = new_array(2, shape, NPY_DOUBLE);
        if (weights)
            leaf_weights(&t, &at, shape[1], ((PyArray *)weights)->data);
    }
    release(fractions);
    return weights;
}

/* Factors, (npoint, ntable), each in the place of the first term of its table. */
static void set_factors(const interpolation *t, const double *factors, int64_t npoint,
                        int64_t nterm, double *coefficients)
{
    for (int64_t i = 0; i < npoint; i++, coefficients += nterm)
        for (int64_t k = 0, first = 0; k < t->ntable; first += terms_in(t, k++))
            coefficients[first] = *factors++;
}

static PyObject *kernel_terms(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *given, *given_factors, *grids, *rows = 0, *coefficients = 0;
    interpolation t;
    parameters at;
    if (!PyArg_ParseTuple(args, "OOO!", &given, &given_factors, &PyTuple_Type, &grids) ||
        !read_interpolation(grids, &t))
        return 0;
    PyArray *theta = array_of(given, NPY_DOUBLE, 2, 0);
    PyArray *factors = array_of(given_factors, NPY_DOUBLE, 2, NPY_C_CONTIGUOUS);
    if (!theta || !factors || !read_parameters(theta, above(t.column, t.first_axis[t.ntable]), &at))
        goto done;
    if (factors->shape[0] != at.npoint || factors->shape[1] != t.ntable) {
        PyErr_SetString(PyExc_ValueError, "expected a factor of each table at each point");
        goto done;
    }
    const Py_ssize_t shape[2] = {at.npoint, terms_of(&t)};
    rows = new_array(2, shape, NPY_INT64);
    coefficients = new_array(2, shape, NPY_DOUBLE);
    if (rows && coefficients) {
        double *out = ((PyArray *)coefficients)->data;
        set_factors(&t, factors->data, at.npoint, shape[1], out);
        fill_terms(&t, &at, shape[1], ((PyArray *)rows)->data, out);
    }
done:
    release(theta);
    release(factors);
    return rows && coefficients ? Py_BuildValue("NN", rows, coefficients) : 0;
}

static PyObject *kernel_highest_level(PyObject *module, PyObject *nothing)
{
    (void)module, (void)nothing;
    return PyLong_FromLongLong(highest_level());
}

static PyMethodDef functions[] = {
    {"leaf_weights", kernel_leaf_weights, METH_VARARGS, 0},
    {"terms", kernel_terms, METH_VARARGS, 0},
    {"highest_level", kernel_highest_level, METH_NOARGS, 0},
    {0},
};

static PyModuleDef definition = {
    .object = {.references = 1}, .name = "_kernel", .size = -1, .methods = functions};

static int add_type(PyObject *module, PyType_Spec *spec, PyTypeObject **type)
{
    *type = (PyTypeObject *)PyType_FromSpec(spec);
    return *type && !PyModule_AddType(module, *type);
}

__attribute__((visibility("default"))) PyObject *PyInit__kernel(void);

PyObject *PyInit__kernel(void)
{
    static PyTypeObject *mixture_type;
    PyObject *module = import_numpy(&numpy) ? PyModule_Create2(&definition, PY_ABI) : 0;
    if (module && add_type(module, &table_spec, &table_type) &&
        add_type(module, &mixture_spec, &mixture_type))
        return module;
    release(module);
    return 0;
}
